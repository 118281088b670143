"""What sinks write."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from edge_kws.events import Event, Gap
from edge_kws.sinks import EventSink
from edge_kws.sinks.console import Bar, ConsoleSink, ModelView, PlainSink
from edge_kws.sinks.jsonl import JsonlSink

EVENT = Event("commands", "yes", 0.9765625, 181_440, 197_440)
GAP = Gap(200_000, 204_000, "overrun: the device lost samples")
VIEWS = (ModelView("commands", ("_silence_", "yes", "no"), (None, 0.8, 0.8)), ModelView("marvin", ("_other_", "marvin"), (None, 0.7)))


class CountingFlushes(io.StringIO):
    flushes = 0

    def flush(self):
        self.flushes += 1


def deliver(sink: EventSink):
    with sink:
        sink.event(EVENT)
        sink.gap(GAP)


def test_jsonl():
    stream = CountingFlushes()
    deliver(JsonlSink(stream))
    event, gap = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert event == {
        "type": "event", "model": "commands", "label": "yes", "score": 0.976562, "start": 181_440, "end": 197_440, "time_s": 12.34,
    }  # fmt: skip
    assert gap == {"type": "gap", "start": 200_000, "end": 204_000, "reason": "overrun: the device lost samples"}
    assert stream.flushes == 2


def test_plain():
    stream = CountingFlushes()
    deliver(PlainSink(stream, VIEWS[:1]))
    event, gap = stream.getvalue().splitlines()
    assert event == "   12.34 s  commands  yes        0.98"
    assert gap == "   12.75 s  gap: 0.250 s of audio lost (overrun: the device lost samples)"
    assert stream.flushes == 2


def terminal(width=80):
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=30, color_system=None, legacy_windows=False, _environ={})


def written(console):
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_console_shows_level_scores_events_and_gives_the_terminal_back():
    console = terminal()
    with ConsoleSink(VIEWS, "speech.wav", console) as sink:
        sink.observe(-12.0, {"commands": np.array([0.1, 0.9, 0.0], np.float32), "marvin": np.array([0.75, 0.25], np.float32)}, 32_000)
        sink.event(EVENT)
        sink.gap(GAP)
    text = written(console)
    for part in ("listening", "speech.wav", "-12 dBFS", "marvin", "0.90", "1 event", "1 gap", "0:02.0", "Ctrl-C"):
        assert part in text
    assert "12.34 s  commands  yes        0.98" in text
    assert "\x1b[?25l" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is back"


def test_console_gives_the_terminal_back_after_an_error():
    console = terminal()
    with pytest.raises(KeyboardInterrupt), ConsoleSink(VIEWS, "x", console):
        raise KeyboardInterrupt
    assert written(console).rindex("\x1b[?25h") > written(console).rindex("\x1b[?25l")


@pytest.mark.parametrize("width", [20, 40, 200])
def test_console_fits_any_width(width):
    console = terminal(width)
    with ConsoleSink(VIEWS, "a title [not markup] " * 5, console) as sink:
        sink.observe(-np.inf, {}, 0)


@pytest.mark.parametrize(
    ("value", "mark", "expected"),
    [(0.0, None, "··········"), (1.0, None, "██████████"), (0.55, None, "█████▌····"), (0.5, 0.8, "█████···┃·"), (2.0, 1.0, "█████████┃")],
)
def test_bar(value, mark, expected):
    console = Console(file=io.StringIO(), width=10, color_system=None)
    console.print(Bar(value, "green", mark), end="")
    assert written(console).rstrip("\n") == expected
