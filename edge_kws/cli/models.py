"""`edge-kws models`: the packs shipped with the project."""

from collections.abc import Iterator

from rich.text import Text

from edge_kws.cli.model_card import columns, figure, interval, kilobytes, show
from edge_kws.pack import Pack
from edge_kws.resources import shipped_packs


def models() -> None:
    """List the packs shipped with the project."""
    packs = shipped_packs()
    if not packs:
        show(Text("No pack ships with this installation. Train one: edge-kws train recipes/commands.toml"))
        return
    headers = ("name", "task", "size", "detects", "quality", "95 % interval", "licence")
    show(columns(headers, _rows(), right=("size", "quality")))
    show(Text("\nEverything about one of them: edge-kws inspect NAME"))


def _rows() -> Iterator[tuple[str, ...]]:
    for name, path in shipped_packs().items():
        pack = Pack.load(path)
        words = [label for label, threshold in zip(pack.labels, pack.decoder.thresholds, strict=True) if threshold is not None]
        quality, spread = "not measured", ""
        if pack.info.quality:
            headline = pack.info.quality[0]
            quality, spread = f"{headline.name} {figure(headline)}", interval(headline)
        task = pack.info.task.replace("_", " ")
        yield name, task, kilobytes(path.stat().st_size), " ".join(words), quality, spread, pack.info.license
