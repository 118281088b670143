"""`edge-kws listen`: detect words in live sound, a file or standard input."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer
from rich.console import Console

from edge_kws.audio import AudioSource, Microphone, RawStdin, WavFile
from edge_kws.detector import Detector
from edge_kws.errors import ConfigError
from edge_kws.events import SAMPLE_RATE_HZ
from edge_kws.pack import Pack
from edge_kws.sinks import EventSink
from edge_kws.sinks.console import ConsoleSink, ModelView, PlainSink
from edge_kws.sinks.jsonl import JsonlSink

_EXIT_INTERRUPTED = 130

_MODEL = typer.Option(
    "--model", metavar="PACK", help="A shipped pack's name (`edge-kws models`) or a .tflite file; repeat it to run several."
)
_INPUT = typer.Option("--input", metavar="FILE|-", help="An audio file, or - for raw 16 kHz mono s16le on standard input. Default: live.")
_REALTIME = typer.Option("--realtime", help="Take --input at the speed of speech instead of as fast as possible.")
_DEVICE = typer.Option("--device", metavar="NAME", help="Capture device: index or part of its name, see `edge-kws devices`.")
_JSONL = typer.Option("--jsonl", help="Write one JSON object a line and nothing else to standard output.")


def listen(
    model: Annotated[list[str], _MODEL],
    input_: Annotated[str | None, _INPUT] = None,
    realtime: Annotated[bool, _REALTIME] = False,
    device: Annotated[str | None, _DEVICE] = None,
    jsonl: Annotated[bool, _JSONL] = False,
) -> None:
    """Detect words in live sound, a file or standard input.

    Prints each detection with its time, model, label and score. Ends with the file, or with Ctrl-C (exit status 130).
    """
    packs = [Pack.load(name) for name in model]
    with _source(input_, realtime, device) as source:
        sink = _sink(packs, source, jsonl)
        detector = Detector(packs, observer=_observer(sink), on_gap=sink.gap)
        if jsonl:
            print(f"listening · {source.description}", file=sys.stderr)
        try:
            _deliver(detector, source, sink)
        except BrokenPipeError:
            # Whoever read our output has had enough, as in `| head`. Python's own flush at exit must not fail on the closed pipe.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _deliver(detector: Detector, source: AudioSource, sink: EventSink) -> None:
    """Run to the end of the audio, then say how much there was, also after an error or Ctrl-C."""
    events = 0
    try:
        with sink, detector:
            for event in detector.listen(source):
                sink.event(event)
                events += 1
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        _summarise(detector, events)
        raise typer.Exit(_EXIT_INTERRUPTED) from None
    except BaseException:
        _summarise(detector, events)
        raise
    _summarise(detector, events)


def _summarise(detector: Detector, events: int) -> None:
    seconds, gaps = detector.position / SAMPLE_RATE_HZ, len(detector.gaps)
    lost = f" ({sum(gap.end - gap.start for gap in detector.gaps) / SAMPLE_RATE_HZ:.2f} s lost)" if gaps else ""
    failed = ", 1 source failed" if detector.failed_sources else ""
    print(f"{seconds:.2f} s of audio, {events} event{'s' * (events != 1)}, {gaps} gap{'s' * (gaps != 1)}{lost}{failed}", file=sys.stderr)


def _source(input_: str | None, realtime: bool, device: str | None) -> AudioSource:
    if input_ is None:
        if realtime:
            raise ConfigError("--realtime expects --input; a microphone is real time already; leave it out or add --input FILE")
        return Microphone(device)
    if device is not None:
        raise ConfigError(f"--device {device} and --input {input_} exclude each other; leave one out")
    return RawStdin(realtime=realtime) if input_ == "-" else WavFile(input_, realtime=realtime)


def _sink(packs: Sequence[Pack], source: AudioSource, jsonl: bool) -> PlainSink | ConsoleSink | JsonlSink:
    if jsonl:
        return JsonlSink(sys.stdout)
    views = [ModelView(pack.info.name, pack.labels, pack.decoder.thresholds) for pack in packs]
    console = Console(highlight=False)
    if console.is_terminal and not console.is_dumb_terminal and console.encoding.startswith("utf"):
        return ConsoleSink(views, source.description, console)
    return PlainSink(sys.stdout, views)


def _observer(sink: EventSink) -> Callable[[Detector], None] | None:
    if not isinstance(sink, ConsoleSink):
        return None
    return lambda detector: sink.observe(detector.level_dbfs, detector.scores(), detector.position)
