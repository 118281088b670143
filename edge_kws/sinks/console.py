"""Events for people: a live view in a terminal, plain lines anywhere else."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TextIO

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.panel import Panel
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from edge_kws.events import SAMPLE_RATE_HZ, Event, Gap
from edge_kws.held_stderr import HeldStderr

_FLOOR_DBFS = -60.0
_REFRESH_HZ = 12
_DECAY = 0.75  # of a bar at each refresh: peaks shorter than a refresh stay visible
_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")


@dataclass(frozen=True, slots=True)
class ModelView:
    """What the console shows of a model: its name, labels, and the threshold of each label (None: never fires)."""

    name: str
    labels: tuple[str, ...]
    thresholds: tuple[float | None, ...]


class PlainSink:
    """One line an event, such as `  12.34 s  commands  yes  0.97`, flushed at once.

    Args:
        stream: text stream; it is not closed.
        models: names of the models that run, to align the columns.
    """

    def __init__(self, stream: TextIO, models: Sequence[ModelView] = ()) -> None:
        self._stream = stream
        self._models = models

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def event(self, event: Event) -> None:
        """Write one detection."""
        name_width, label_width = _widths(self._models)
        self._write(f"{event.time_s:8.2f} s  {event.model:{name_width}}  {event.label:{label_width}}  {event.score:.2f}")

    def gap(self, gap: Gap) -> None:
        """Write one stretch of lost audio."""
        self._write(f"{gap.end / SAMPLE_RATE_HZ:8.2f} s  {_gap_text(gap)}")

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


class ConsoleSink:
    """A live view: events scroll by above a panel of level meter and the best scores of each model against its thresholds.

    The panel goes and the cursor returns when the sink is left, however that happens; the events stay on the screen. What other code,
    C libraries included, writes to a terminal's standard error meanwhile would tear the panel: it is printed afterwards.

    Args:
        models: the models that run, in the order they are shown.
        title: what is listened to.
        console: rich console of a terminal.
        rows: labels shown a model.
    """

    def __init__(self, models: Sequence[ModelView], title: str, console: Console | None = None, rows: int = 3) -> None:
        self._console = console or Console(highlight=False)
        self._models = models
        self._title = title
        self._rows = rows
        self._colours = {view.name: _COLOURS[i % len(_COLOURS)] for i, view in enumerate(models)}
        self._lock = threading.Lock()  # the view is drawn from rich's refresh thread
        self._level_dbfs = _FLOOR_DBFS
        self._shown_dbfs = _FLOOR_DBFS
        self._scores = {view.name: np.zeros(len(view.labels), np.float32) for view in models}
        self._shown = {view.name: np.zeros(len(view.labels), np.float32) for view in models}
        self._position = 0
        self._events = 0
        self._gaps = 0
        self._stderr = HeldStderr(terminal_only=True)
        self._live = Live(
            console=self._console, get_renderable=self._draw, refresh_per_second=_REFRESH_HZ, transient=True, redirect_stderr=False
        )

    def __enter__(self) -> Self:
        try:
            self._stderr.__enter__()
            self._live.start(refresh=True)
        except BaseException:  # Ctrl-C during the first drawing: nobody will call __exit__
            self._leave()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave()

    def _leave(self) -> None:
        try:
            self._live.stop()
        finally:
            self._stderr.__exit__(None, None, None)

    def observe(self, level_dbfs: float, scores: Mapping[str, NDArray[np.float32]], position: int) -> None:
        """Take the state after a block: level in dBFS, smoothed posteriors (classes,) by model name, position in samples."""
        with self._lock:
            self._level_dbfs = max(self._level_dbfs, level_dbfs)
            for name, values in scores.items():
                np.maximum(self._scores[name], values, out=self._scores[name])
            self._position = position

    def event(self, event: Event) -> None:
        """Print one detection above the panel."""
        colour = self._colours.get(event.model, "white")
        name_width, label_width = _widths(self._models)
        line = Text.assemble(
            (f"{event.time_s:8.2f} s  ", "dim"),
            (f"{event.model:{name_width}}  ", colour),
            (f"{event.label:{label_width}}  ", "bold"),
            (f"{event.score:.2f}", "green"),
        )
        self._events += 1
        self._console.print(line)

    def gap(self, gap: Gap) -> None:
        """Print one stretch of lost audio above the panel."""
        self._gaps += 1
        self._console.print(Text.assemble((f"{gap.end / SAMPLE_RATE_HZ:8.2f} s  ", "dim"), (_gap_text(gap), "yellow")))

    def _draw(self) -> Panel:
        name_width, label_width = _widths(self._models)
        grid = Table.grid(padding=(0, 2), expand=True)
        grid.add_column(min_width=name_width, no_wrap=True)
        grid.add_column(min_width=label_width, no_wrap=True)
        grid.add_column(ratio=1)
        grid.add_column(justify="right", width=8, no_wrap=True)
        with self._lock:
            self._decay()
            grid.add_row("[dim]level", "", _level_bar(self._shown_dbfs), f"{self._shown_dbfs:.0f} dBFS")
            for view in self._models:
                grid.add_row()
                for row in self._score_rows(view):
                    grid.add_row(*row)
            minutes, seconds = divmod(self._position / SAMPLE_RATE_HZ, 60)
        gaps = f"[yellow]{_count(self._gaps, 'gap')}" if self._gaps else "[dim]no gaps"
        footer = Table.grid(expand=True)
        footer.add_column()
        footer.add_column(justify="right")
        footer.add_row(f"{_count(self._events, 'event')}  [dim]·[/]  {gaps}", "[dim]Ctrl-C stops")
        return Panel(
            Group(grid, Text(), footer),
            title=Text.assemble(("listening", "bold"), (f" · {self._title}", "dim")),
            title_align="left",
            subtitle=Text(f"{minutes:.0f}:{seconds:04.1f}", style="dim"),
            subtitle_align="right",
            padding=(1, 2),
            width=self._console.width - 4,  # room for the terminal's "^C": if that wrapped, one line of the panel would stay behind
        )

    def _decay(self) -> None:
        """Let the bars fall slowly and rise at once; the peaks collected since the last refresh are used up."""
        fallen = max(_FLOOR_DBFS, self._shown_dbfs - 3.0)
        self._shown_dbfs = min(0.0, max(fallen, self._level_dbfs))
        self._level_dbfs = _FLOOR_DBFS
        for name, peak in self._scores.items():
            np.maximum(self._shown[name] * _DECAY, peak, out=self._shown[name])
            peak[:] = 0

    def _score_rows(self, view: ModelView) -> list[tuple[Text, Text, "Bar", str]]:
        scores, colour = self._shown[view.name], self._colours[view.name]
        best: list[int] = np.argsort(-scores, kind="stable")[: self._rows].tolist()
        rows: list[tuple[Text, Text, Bar, str]] = []
        for i in best:
            threshold, score = view.thresholds[i], float(scores[i])
            fires = threshold is not None and score >= threshold
            style = f"bold {colour}" if fires else colour if threshold is not None else "dim"
            name = Text(view.name if not rows else "", style=colour)
            rows.append((name, Text(view.labels[i], style=style), Bar(score, style, mark=threshold), f"{score:.2f}"))
        return rows


class Bar:
    """A horizontal bar of the width it is given, with a mark.

    Args:
        value: 0..1.
        style: of the filled part.
        mark: 0..1, where a thin line stands (a threshold); None: nowhere.
    """

    _EIGHTHS = " ▏▎▍▌▋▊▉"

    def __init__(self, value: float, style: str, mark: float | None = None) -> None:
        self.value, self.style, self.mark = min(max(value, 0.0), 1.0), style, mark

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        eighths = round(self.value * width * 8)
        cells = ["█"] * (eighths // 8) + ([self._EIGHTHS[eighths % 8]] if eighths % 8 else [])
        cells += ["·"] * (width - len(cells))
        styles = [Style.parse(self.style) if i * 8 < eighths else Style(dim=True, color="bright_black") for i in range(width)]
        if self.mark is not None:
            at = min(width - 1, int(self.mark * width))
            cells[at], styles[at] = "┃", Style(color="white", bold=True)
        for cell, style in zip(cells, styles, strict=True):
            yield Segment(cell, style)


def _level_bar(level_dbfs: float) -> Bar:
    style = "red" if level_dbfs > -1 else "yellow" if level_dbfs > -6 else "green"
    return Bar(1 - level_dbfs / _FLOOR_DBFS, style)


def _gap_text(gap: Gap) -> str:
    return f"gap: {(gap.end - gap.start) / SAMPLE_RATE_HZ:.3f} s of audio lost ({gap.reason})"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _widths(models: Sequence[ModelView]) -> tuple[int, int]:
    """Columns that the names of models and of labels need."""
    names = [len(view.name) for view in models]
    labels = [len(label) for view in models for label in view.labels]
    return max(names, default=0), max(labels, default=0)
