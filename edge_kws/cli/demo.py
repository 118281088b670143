"""`edge-kws demo`: the shipped packs at work on recorded speech, and a picture of what happened."""

# matplotlib leaves parts of its types unknown.
# pyright: reportUnknownMemberType=false

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge_kws.events import Event

_HIT_WINDOW_S = 0.8
"""A word counts as heard when it fires between its start and this long after its end."""


def demo(
    wav: Annotated[
        Path | None, typer.Argument(metavar="WAV", help="Speech of your own. Default: the speech that comes with the project.")
    ] = None,
    picture: Annotated[Path, typer.Option(metavar="FILE", help="Where to draw waveform, features, scores and events.")] = Path("demo.png"),
) -> None:
    """Hear the shipped packs detect words in recorded speech, and draw what happened."""
    import numpy as np

    from edge_kws.audio.file import read_pcm
    from edge_kws.detector import Detector
    from edge_kws.errors import ConfigError, PackError
    from edge_kws.frontend import Frontend
    from edge_kws.pack import Pack
    from edge_kws.resources import demo_speech, shipped_packs

    packs = [Pack.load(path) for path in shipped_packs().values()]
    if not packs:
        raise PackError("demo: expected shipped packs (models/*.tflite), found none; reinstall edge_kws")
    if picture.suffix.lower() not in (".png", ".svg", ".pdf") or not picture.parent.is_dir():
        raise ConfigError(f"demo: --picture {picture}: expected a .png, .svg or .pdf in a folder that exists; choose another path")
    path = wav or demo_speech()
    said: list[dict[str, Any]] = [] if wav is not None else json.loads(path.with_suffix(".json").read_text())
    pcm = read_pcm(path)
    trace: dict[str, list[NDArray[np.float32]]] = {pack.info.name: [] for pack in packs}

    def watch(detector: Detector) -> None:
        for name, scores in detector.scores().items():
            trace[name].append(scores)

    hop = packs[0].frontend.hop_samples
    events: list[Event] = []
    with Detector(packs, observer=watch) as detector:
        for start in range(0, len(pcm), hop):
            events += detector.process(pcm[start : start + hop])
    typer.echo(f"{path.name}: {len(pcm) / 16_000:.1f} s through {', '.join(f'{p.info.name} {p.info.version}' for p in packs)}")
    _print(events, said, {label for pack in packs for label in _keywords(pack)})
    (features,) = Frontend(packs[0].frontend).process(pcm)
    _draw(picture, pcm, features, {pack.info.name: (pack, np.stack(trace[pack.info.name])) for pack in packs}, events, said)
    typer.echo(f"picture: {picture.resolve()}")


def _keywords(pack: Any) -> list[str]:
    return [label for label, threshold in zip(pack.labels, pack.decoder.thresholds, strict=True) if threshold is not None]


def _print(events: "list[Event]", said: list[dict[str, Any]], keywords: set[str]) -> None:
    """What was said beside what was heard, honestly: hits, misses and events nobody spoke."""
    left = list(events)
    rows: list[tuple[float, str, str]] = []
    hits = wanted = 0
    for word in said:
        heard = next((e for e in left if e.label == word["word"] and word["start_s"] < e.time_s < word["end_s"] + _HIT_WINDOW_S), None)
        if heard is not None:
            left.remove(heard)
        expected = word["word"] in keywords
        wanted += expected
        hits += heard is not None
        outcome = f"heard at {heard.time_s:6.2f} s by {heard.model}, score {heard.score:.2f}" if heard else "missed" if expected else "-"
        rows.append((word["start_s"], word["word"] + ("" if expected else " (no keyword)"), outcome))
    rows += [(e.time_s, "", f"{'EXTRA ' if said else ''}{e.label} by {e.model}, score {e.score:.2f}") for e in left]
    width = 22 if said else 0
    typer.echo(f"{'time':>8}  {('said' if said else ''):{width}}  detected")
    for time_s, word, outcome in sorted(rows):
        typer.echo(f"{time_s:6.2f} s  {word:{width}}  {outcome}")
    if not said:
        typer.echo(f"{len(events)} events; the words these packs know: {' '.join(sorted(keywords))}")
    else:
        typer.echo(
            f"{hits} of {wanted} keywords heard, {len(left)} extra events. The voices are synthetic; `edge-kws inspect` has real ones."
        )


def _draw(
    path: Path,
    pcm: "NDArray[np.int16]",
    features: "NDArray[np.int8]",
    traces: "dict[str, tuple[Any, NDArray[np.float32]]]",
    events: "list[Event]",
    said: list[dict[str, Any]],
) -> None:
    import matplotlib as mpl
    import numpy as np

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    seconds = len(pcm) / 16_000
    figure, axes = plt.subplots(
        2 + len(traces),
        1,
        sharex=True,
        figsize=(14, 4.2 + 1.9 * len(traces)),
        height_ratios=[1, 1.3, *[1.3] * len(traces)],
        layout="constrained",
    )
    axes[0].plot(np.arange(len(pcm)) / 16_000, pcm / 32768, color="#335577", linewidth=0.4)
    top = 1.4 * max(0.05, float(np.abs(pcm / 32768).max()))
    axes[0].set(ylabel="waveform", ylim=(-top, top))
    for word in said:
        axes[0].text((word["start_s"] + word["end_s"]) / 2, 0.85 * top, word["word"], ha="center", va="center", fontsize=9, color="#222222")
    axes[1].imshow(features.T, origin="lower", aspect="auto", cmap="magma", extent=(0, seconds, 0, features.shape[1]))
    axes[1].set(ylabel="mel bin")
    colours = plt.get_cmap("tab20")
    for axis, (name, (pack, scores)) in zip(axes[2:], traces.items(), strict=True):
        time_s = np.linspace(0, seconds, len(scores))
        for index, (label, threshold) in enumerate(zip(pack.labels, pack.decoder.thresholds, strict=True)):
            if threshold is not None:
                axis.plot(time_s, scores[:, index], color=colours(index % 20), linewidth=1.4, label=label)
                axis.axhline(threshold, color="#999999", linewidth=0.7, linestyle="--")
                for event in (e for e in events if e.model == name and e.label == label):
                    axis.plot(event.time_s, event.score, "v", color=colours(index % 20), markersize=8)
                    axis.text(event.time_s, 1.06, label, ha="center", fontsize=9, color=colours(index % 20))
        axis.set(ylabel=name, ylim=(0, 1.18), yticks=(0, 0.5, 1))
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, frameon=False)
    axes[-1].set(xlabel="seconds", xlim=(0, seconds))
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    figure.savefig(part, dpi=110)
    plt.close(figure)
    part.replace(path)
