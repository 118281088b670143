"""`edge-kws evaluate`: what a pack is worth, measured on recordings."""

import json as json_format
import os
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from edge_kws.errors import ConfigError
from edge_kws.evaluation import ClipResult, WakeWordResult, evaluate_clips, evaluate_wake_word
from edge_kws.evaluation.dataset import find_clips, find_wake_word_recordings
from edge_kws.evaluation.metrics import macro_recall, wilson_interval
from edge_kws.evaluation.report import percent, percents, point_name, rate, rates, render_report, top_confusions
from edge_kws.evaluation.wake_word import wake_label
from edge_kws.pack import Pack
from edge_kws.runners.litert_float import LiteRtFloatRunner, float_model_beside

_PACK = typer.Argument(metavar="PACK", help="A shipped pack's name or a .tflite file.", show_default=False)
_DATA = typer.Option(
    "--data",
    metavar="DIR",
    help="Keywords: a folder per label. Wake word: positive/ (or the label's name) and negative/ with a subfolder per kind of audio.",
    show_default=False,
)
_JSON = typer.Option("--json", metavar="FILE", help="Also write everything measured as JSON.")
_REPORT = typer.Option("--report", metavar="FILE", help="Also write a report as one HTML file.")
_FLOAT = typer.Option(
    "--float",
    metavar="FILE",
    help="Keywords: float .tflite of the same network to compare with. Default: NAME.float.tflite beside it.",
)
_LISTED_CONFUSIONS = 5


def evaluate(
    pack: Annotated[str, _PACK],
    data: Annotated[Path, _DATA],
    json: Annotated[Path | None, _JSON] = None,
    report: Annotated[Path | None, _REPORT] = None,
    float_: Annotated[Path | None, _FLOAT] = None,
) -> None:
    """Measure a pack on recordings: its exported int8 model through the C front end, bit for bit what a device computes.

    A keywords pack names every clip: top-1, recall of each label, confusions. A wake-word pack is streamed through its decoder: misses and
    false accepts an hour at its own threshold and at 0.5 and 0.1 false accepts an hour, with what the hours cannot claim.
    """
    for target in (json, report):
        _check_target(target)
    loaded = Pack.load(pack)
    if float_ is not None and loaded.info.task != "keywords":
        raise ConfigError(f"--float {float_}: expected a keywords pack, found {loaded.info.name}, a wake word; leave --float out")
    result = _keywords(loaded, data, float_) if loaded.info.task == "keywords" else _wake_word(loaded, data)
    if json is not None:
        _write(json, json_format.dumps({**result.to_dict(), "data": str(data)}, indent=2, ensure_ascii=False) + "\n")
    if report is not None:
        _write(report, render_report(result, str(data)))
    console = Console(highlight=False)
    if isinstance(result, ClipResult):
        _show_clips(console, result)
    else:
        _show_wake_word(console, result)
    for target in (json, report):
        if target is not None:
            console.print(f"wrote {target}", soft_wrap=True, markup=False)


def _keywords(pack: Pack, data: Path, float_: Path | None) -> ClipResult:
    float_model = float_ or float_model_beside(pack.path)
    shape = (pack.window_frames, pack.frontend.mel_bins)
    floating = None if float_model is None else LiteRtFloatRunner(float_model, shape, len(pack.labels))
    found = find_clips(data, pack.labels)
    with _progress() as bars:
        task = bars.add_task("clips", total=len(found.clips))
        return evaluate_clips(pack, found.clips, floating, workers=os.cpu_count() or 1, progress=lambda done: bars.advance(task, done))


def _wake_word(pack: Pack, data: Path) -> WakeWordResult:
    found = find_wake_word_recordings(data, wake_label(pack))
    with _progress() as bars:
        task = bars.add_task("recordings", total=len(found.positives) + sum(map(len, found.negatives.values())))
        return evaluate_wake_word(
            pack, found.positives, found.negatives, workers=os.cpu_count() or 1, progress=lambda done: bars.advance(task, done)
        )


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _show_clips(console: Console, result: ClipResult) -> None:
    mean, mean_interval = macro_recall(result.confusion)
    accepted, rest = result.rest_accepted()
    table = _table("", "figure", "95 % interval", "clips")
    table.add_row("top-1", percent(result.top1), percents(result.top1_interval), f"{result.correct} of {result.count}", style="bold")
    if result.floating is not None:
        share, floats = result.floating.correct / result.count, result.floating.correct
        table.add_row("top-1 float", percent(share), percents(wilson_interval(floats, result.count)), f"{floats} of {result.count}")
        change = f"{100 * (result.correct - floats) / result.count:+.2f}".replace("-", "−")
        table.add_row("int8 - float", f"{change} points", "", f"{result.floating.agree} named alike")
    table.add_row("macro recall", percent(mean), percents(mean_interval), f"{len(result.labels) - len(result.missing_labels)} labels")
    if rest:
        table.add_row("false commands", percent(accepted / rest), percents(wilson_interval(accepted, rest)), f"{accepted} of {rest}")
    table.add_row("")
    for label in result.labels:
        correct, count, recall, interval = result.recall(label)
        if recall is None:
            table.add_row(_plain(label), "-", "no folder", "0", style="yellow")
        else:
            table.add_row(_plain(label), percent(recall), percents(interval), f"{correct} of {count}")
    _title(console, f"{result.pack['name']} {result.pack['version']}: {result.count} clips, int8")
    console.print(table)
    console.print()
    for actual, predicted, clips, total in top_confusions(result)[:_LISTED_CONFUSIONS]:
        console.print(f"{actual} heard as {predicted}: {clips} of {total}", markup=False)


def _show_wake_word(console: Console, result: WakeWordResult) -> None:
    table = _table("threshold", "", "missed", "95 % interval", "accepts", "FA/h", "95 % interval")
    for point in result.operating_points:
        table.add_row(
            point_name(point),
            f"{point.threshold:.3f}",
            percent(point.miss_rate),
            percents(point.miss_interval),
            str(point.total_false_accepts),
            rate(point.false_accepts_per_hour),
            rates(point.false_accepts_interval),
            style="bold" if point.target_per_hour is None else None,
        )
    strata = _table("negatives", "hours", "accepts", "FA/h", "95 % interval", "files waking it")
    for stratum in (stratum.to_dict() for stratum in result.strata):
        strata.add_row(
            _plain(stratum["name"]),
            f"{stratum['hours']:.2f}",
            str(stratum["false_accepts"]["pack"]),
            rate(stratum["false_accepts_per_hour"]),
            rates(stratum["false_accepts_interval"]),
            f"{stratum['files_accepted']} of {stratum['files']}",
        )
    name = f"{result.pack['name']} {result.pack['version']}"
    _title(console, f"{name}: {result.positives} recordings of {result.label}, {result.hours:.2f} h of other audio, int8")
    console.print(table)
    console.print()
    console.print(strata)
    console.print()
    for point in result.operating_points:
        for claim in point.claims:
            console.print(f"{point_name(point)}: {claim.text}", style="" if claim.proven else "yellow", markup=False)


def _title(console: Console, text: str) -> None:
    console.print(text, style="bold", markup=False)


def _plain(text: str) -> Any:
    """Names come from packs and folders: shown as they are, never read as markup."""
    from rich.text import Text

    return Text(text)


def _table(first: str, *numbers: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(first, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def _check_target(target: Path | None) -> None:
    """Hours of work are not started for a file that cannot be written."""
    if target is None:
        return
    if target.is_dir():
        raise ConfigError(f"{target}: expected a file to write, found a folder; give a file name")
    if not target.parent.is_dir() or not os.access(target.parent, os.W_OK):
        raise ConfigError(f"{target}: expected a folder {target.parent} to write into, found none that can be written; create it first")


def _write(target: Path, text: str) -> None:
    """Writes beside the target, then renames: a reader never meets half a file."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        # mkstemp makes private files; a report is an ordinary one.
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(target)
    except OSError as error:
        raise ConfigError(f"{target}: expected to write the file, found: {error.strerror}; give another place") from error
    finally:
        Path(name).unlink(missing_ok=True)
