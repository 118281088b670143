"""How a pack is shown: the model card of `edge-kws inspect`, and the figures of `edge-kws models`."""

import io
import sys
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from edge_kws.pack import DataSource, Measurement, Pack, Provenance

_UNWRAPPED = 10_000


def show(content: RenderableType) -> None:
    """Prints to stdout: fitted to the window on a terminal, elsewhere plain text with every row on one line."""
    if sys.stdout.isatty():
        Console(highlight=False).print(content)
        return
    plain = io.StringIO()
    Console(file=plain, width=_UNWRAPPED, highlight=False, color_system=None).print(content)
    text = "\n".join(line.rstrip() for line in plain.getvalue().splitlines())
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding))


def figure(measurement: Measurement) -> str:
    """The value alone: a percentage where it is a proportion."""
    return f"{measurement.value:.1%}" if measurement.interval_kind == "wilson" else f"{measurement.value:,.4g}"


def interval(measurement: Measurement) -> str:
    """The 95 % interval, empty where there is none."""
    if measurement.interval is None:
        return ""
    low, high = measurement.interval
    return f"{100 * low:.1f}-{100 * high:.1f} %" if measurement.interval_kind == "wilson" else f"{low:.3g}-{high:.3g}"


def kilobytes(size: int) -> str:
    """A size in KB of 1000 bytes."""
    return f"{size / 1000:,.1f} KB"


def columns(headers: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> Table:
    """A table without lines; columns named in `right` are right-aligned."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for header in headers:
        table.add_column(header, justify="right" if header in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def model_card(pack: Pack, file_bytes: int, checks: Sequence[tuple[str, str, bool]]) -> RenderableType:
    """Everything a pack holds, for people.

    Args:
        pack: the pack.
        file_bytes: size of its file.
        checks: (what was checked, the result, whether it is good).
    """
    info, provenance = pack.info, pack.info.provenance
    title = Text.assemble((info.name, "bold green"), " ", (info.version, "green"), "  ", (info.task.replace("_", " "), "dim"))
    tools = ", ".join(f"{tool} {version}" for tool, version in sorted(provenance.tool_versions.items()))
    return Group(
        title,
        Text(info.description),
        *_section("What it is", _pairs(_facts(pack, file_bytes))),
        *_section("Labels", columns(("#", "label", "fires at"), _label_rows(pack), right=("#", "fires at"))),
        *_section("Measured quality", _quality(info.quality)),
        *_section("Data and licences", _ledger(info.ledger)),
        *_section(
            "Where it comes from",
            _pairs(
                [
                    ("trained", _trained(provenance)),
                    ("exported", f"by commit {provenance.commit}, {provenance.created}"),
                    ("seed", str(provenance.seed)),
                    ("tools", tools),
                ]
            ),
        ),
        *_section("Recipe", Syntax(info.recipe.strip(), "toml", background_color="default", word_wrap=sys.stdout.isatty())),
        *_section("Checks", _checks(checks)),
    )


def _trained(provenance: Provenance) -> str:
    if not provenance.training:
        return "by a commit that was not recorded"
    return ", then ".join(f"{span.epochs} epoch{'s' * (span.epochs != 1)} by commit {span.commit}" for span in provenance.training)


def _section(heading: str, content: RenderableType) -> tuple[RenderableType, ...]:
    return Text(), Text(heading, style="bold"), Padding(content, (0, 0, 0, 2), expand=False)


def _pairs(rows: Sequence[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in rows:
        table.add_row(key, Text(value))
    return table


def _facts(pack: Pack, file_bytes: int) -> list[tuple[str, str]]:
    info, frontend, decoder = pack.info, pack.frontend, pack.decoder
    stride_ms = pack.inference_stride_hops * frontend.hop_ms
    window_ms = (pack.window_frames - 1) * frontend.hop_ms + frontend.window_ms
    options = [name for name, on in (("noise reduction", frontend.noise_reduction), ("PCAN", frontend.pcan)) if on]
    bands = f"{frontend.mel_bins} mel bins {frontend.lower_hz:g}-{frontend.upper_hz:g} Hz"
    smoothing = f"mean of {decoder.average_window} posteriors, {decoder.min_consecutive} in a row at or above the threshold"
    return [
        ("file", f"{pack.path or 'in memory'} ({kilobytes(file_bytes)}, of which the model {kilobytes(info.model_bytes)})"),
        (
            "cost",
            f"{info.parameters:,} parameters, {info.macs_per_window:,} MACs a window, {info.macs_per_hop:,.0f} MACs a hop when streamed",
        ),
        (
            "front end",
            f"{frontend.window_ms} ms window every {frontend.hop_ms} ms, {bands}, {' and '.join(options) or 'no noise reduction, no PCAN'}",
        ),
        ("features", f"int8, divisor {frontend.feature_divisor}, digest {frontend.digest()[:16]}"),
        ("model", f"hears {pack.window_frames} frames ({window_ms} ms), runs every {stride_ms} ms"),
        ("decoder", f"{smoothing}, then mute for {decoder.refractory_steps * stride_ms / 1000:g} s"),
        ("licence", info.license),
        ("SHA-256", f"{info.model_sha256} (model without metadata)"),
    ]


def _label_rows(pack: Pack) -> Iterator[tuple[str, str, str]]:
    for index, (label, threshold) in enumerate(zip(pack.labels, pack.decoder.thresholds, strict=True)):
        yield str(index), label, "never" if threshold is None else f"{threshold:.3f}"


def _quality(quality: Sequence[Measurement]) -> RenderableType:
    if not quality:
        return Text("nothing measured", style="yellow")
    # What many rows share stands below them once.
    remarks: dict[str, int] = {}
    rows: list[Sequence[str]] = []
    for m in quality:
        texts = [f"{m.data}, by {m.runner}", *([m.note] if m.note else [])]
        numbers = [str(remarks.setdefault(text, len(remarks) + 1)) for text in texts]
        rows.append((m.name, figure(m), interval(m), "" if m.count is None else f"{m.count:,}", ", ".join(numbers)))
    table = columns(("measure", "value", "95 % interval", "n", "see"), rows, right=("value", "95 % interval", "n"))
    return Group(table, Text(), _pairs([(str(number), text) for text, number in remarks.items()]))


def _ledger(ledger: Sequence[DataSource]) -> RenderableType:
    if not ledger:
        return Text("no data stated", style="yellow")
    rows = (
        (
            source.use,
            source.name,
            source.license,
            "" if source.clips is None else f"{source.clips:,}",
            "" if source.hours is None else f"{source.hours:,.1f}",
            source.source + _note(source.note),
        )
        for source in ledger
    )
    return columns(("use", "data", "licence", "clips", "hours", "source"), rows, right=("clips", "hours"))


def _note(note: str) -> str:
    return f" ({note})" if note else ""


def _checks(checks: Sequence[tuple[str, str, bool]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for what, result, good in checks:
        table.add_row(Text(what, style="dim"), Text(result, style="green" if good else "yellow"))
    return table
