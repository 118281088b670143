"""Keyword packs: each clip is one window of the model; the exported int8 model names its class.

A clip shorter than the window is padded with zeros at its end; of a longer one the middle is taken (Speech Commands clips last at
most 1 s, the window of 98 frames of 30 ms every 10 ms). A front end with memory hears 2 s of quiet noise before each clip.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_kws.audio.file import read_pcm
from edge_kws.errors import ConfigError, ModelError
from edge_kws.evaluation.metrics import Interval, confusion_matrix, macro_recall, wilson_interval
from edge_kws.evaluation.streams import CONTEXT_SECONDS, Progress, in_parallel, quiet_noise, whole_hops, window_samples
from edge_kws.events import SAMPLE_RATE_HZ
from edge_kws.frontend import Frontend, FrontendConfig
from edge_kws.pack import Pack
from edge_kws.runners.choose import open_runner

RUNNER = "int8 kernels bit-exact with LiteRT BUILTIN_REF"
REST_LABELS = ("_unknown_", "_silence_")
"""Labels that are no command: what a device must not act on."""
FLOAT_BATCH = 256


class FloatRunner(Protocol):
    """The float model before quantisation: (N, window_frames, mel_bins) float32 features -> (N, classes) posteriors or logits.

    It gets what the int8 model gets, dequantised: (q + 128) * input_scale.
    """

    def __call__(self, windows: NDArray[np.float32], /) -> NDArray[np.float32]:
        """Posteriors or logits (N, classes) of windows (N, window_frames, mel_bins)."""
        ...


@dataclass(frozen=True, slots=True)
class Mistake:
    """A clip the model named wrongly: folder/file, what it is, what the model said and how surely (posterior 0..1)."""

    file: str
    label: str
    predicted: str
    score: float


@dataclass(frozen=True, slots=True)
class FloatComparison:
    """The float model on the same windows: its correct clips, clips where both models agree, and who alone was right."""

    correct: int
    agree: int
    float_only: int
    int8_only: int


@dataclass(frozen=True, slots=True)
class ClipResult:
    """What a keywords pack did on labelled clips.

    Attributes:
        pack: name, version and model hash of the pack.
        labels: (C,) class names in the model's order.
        confusion: (C, C) counts, rows actual, columns predicted.
        mistakes: clips named wrongly, the surest first.
        floating: the float model on the same windows; None where it is not known.
    """

    pack: dict[str, str]
    labels: tuple[str, ...]
    confusion: NDArray[np.int64]
    mistakes: tuple[Mistake, ...]
    floating: FloatComparison | None

    @property
    def count(self) -> int:
        """Clips evaluated."""
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        """Clips named correctly."""
        return int(np.trace(self.confusion))

    @property
    def top1(self) -> float:
        """Share of clips named correctly, 0..1."""
        return self.correct / self.count

    @property
    def top1_interval(self) -> Interval:
        """Wilson interval of `top1`, 95 %."""
        return wilson_interval(self.correct, self.count)

    @property
    def macro_recall(self) -> float:
        """Mean recall over the labels that have clips, 0..1."""
        return macro_recall(self.confusion)[0]

    @property
    def missing_labels(self) -> tuple[str, ...]:
        """Labels of the pack without a clip; they are left out of the macro recall."""
        return tuple(label for label, row in zip(self.labels, self.confusion, strict=True) if not row.sum())

    def recall(self, label: str) -> tuple[int, int, float | None, Interval]:
        """(correct, clips, recall, Wilson interval) of a label; recall is None without clips."""
        index = self.labels.index(label)
        correct, count = int(self.confusion[index, index]), int(self.confusion[index].sum())
        return correct, count, correct / count if count else None, wilson_interval(correct, count)

    def rest_accepted(self) -> tuple[int, int]:
        """(clips of `_unknown_` and `_silence_` taken for a command, all clips of the two)."""
        rest = [index for index, label in enumerate(self.labels) if label in REST_LABELS]
        commands = [index for index in range(len(self.labels)) if index not in rest]
        return int(self.confusion[np.ix_(rest, commands)].sum()), int(self.confusion[rest].sum())

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; the keys are stable within `schema_version` and listed in `edge_kws.evaluation`."""
        accepted, rest = self.rest_accepted()
        mean, mean_interval = macro_recall(self.confusion)
        return {
            "schema_version": 1,
            "task": "keywords",
            "pack": dict(self.pack),
            "runner": RUNNER,
            "count": self.count,
            "correct": self.correct,
            "top1": self.top1,
            "top1_interval": list(self.top1_interval),
            "macro_recall": mean,
            "macro_recall_interval": list(mean_interval),
            "labels": list(self.labels),
            "missing_labels": list(self.missing_labels),
            "per_class": [self._class_dict(label) for label in self.labels],
            "confusion": self.confusion.tolist(),
            "false_commands": accepted,
            "false_command_clips": rest,
            "false_command_interval": list(wilson_interval(accepted, rest)),
            "float_top1": None if self.floating is None else self.floating.correct / self.count,
            "float_comparison": None if self.floating is None else self._float_dict(self.floating),
            "mistakes": [{"file": m.file, "label": m.label, "predicted": m.predicted, "score": m.score} for m in self.mistakes],
        }

    def _class_dict(self, label: str) -> dict[str, Any]:
        correct, count, recall, interval = self.recall(label)
        return {"label": label, "count": count, "correct": correct, "recall": recall, "interval": list(interval) if count else None}

    def _float_dict(self, floating: FloatComparison) -> dict[str, Any]:
        return {
            "top1": floating.correct / self.count,
            "top1_interval": list(wilson_interval(floating.correct, self.count)),
            "int8_minus_float": (self.correct - floating.correct) / self.count,
            "agreement": floating.agree / self.count,
            "float_only_correct": floating.float_only,
            "int8_only_correct": floating.int8_only,
        }


def evaluate_clips(
    pack: Pack,
    clips: Iterable[tuple[Path, str]],
    float_runner: FloatRunner | None = None,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> ClipResult:
    """Runs every clip through the C front end and the pack's int8 model.

    Args:
        pack: a keywords pack.
        clips: (recording of any format and rate, its label) pairs.
        float_runner: the model before quantisation, to be compared on the same windows.
        workers: threads, each with a runner of its own.
        progress: called as clips are finished.

    Raises:
        ConfigError: no clips, or a label that the pack does not have.
        AudioError: a clip cannot be read.
        ModelError: the model cannot be run.
    """
    chosen = list(clips)
    actual = _indices(pack, [label for _, label in chosen])
    # The windows are kept only where the float model will ask for them.
    keep = float_runner is not None

    def work(reader: ClipReader, clip: tuple[Path, str]) -> tuple[NDArray[np.int8], NDArray[np.int8] | None]:
        window = reader.window(clip[0])
        return reader.runner.run(window).reshape(-1), window if keep else None

    done = in_parallel(lambda: ClipReader(pack), work, chosen, workers, progress)
    outputs = np.stack([posteriors for posteriors, _ in done])
    predicted = outputs.argmax(axis=1)
    floating = None
    if float_runner is not None:
        windows = [window for _, window in done if window is not None]
        floating = _compare(float_runner, pack.frontend, windows, actual, predicted)
    return ClipResult(
        pack=describe_pack(pack),
        labels=tuple(pack.labels),
        confusion=confusion_matrix(actual, predicted, len(pack.labels)),
        mistakes=_mistakes(chosen, actual, outputs, pack.labels),
        floating=floating,
    )


class ClipReader:
    """Turns clips into the pack's int8 windows; one per thread."""

    def __init__(self, pack: Pack) -> None:
        self.runner = open_runner(pack.model, pack.inference_stride_hops)
        self._config = pack.frontend
        self._frames = pack.window_frames
        self._samples = window_samples(pack.frontend, pack.window_frames)
        self._frontend = Frontend(pack.frontend)
        context = whole_hops(pack.frontend, round(CONTEXT_SECONDS * SAMPLE_RATE_HZ)) if pack.frontend.has_memory else 0
        self._context = quiet_noise(context)

    def window(self, path: Path) -> NDArray[np.int8]:
        """The clip's features (window_frames, mel_bins) int8, from reset. Raises AudioError."""
        self._frontend.reset()
        (features,) = self._frontend.process(np.concatenate([self._context, fit(read_pcm(path), self._samples)]))
        return features[-self._frames :]


def fit(pcm: NDArray[np.int16], samples: int) -> NDArray[np.int16]:
    """A clip as exactly (samples,) int16: zeros added at the end, or the middle taken."""
    if pcm.size >= samples:
        start = (pcm.size - samples) // 2
        return pcm[start : start + samples]
    return np.pad(pcm, (0, samples - pcm.size))


def describe_pack(pack: Pack) -> dict[str, str]:
    """What identifies a pack in a result."""
    return {"name": pack.info.name, "version": pack.info.version, "model_sha256": pack.info.model_sha256}


def _indices(pack: Pack, labels: Sequence[str]) -> NDArray[np.int64]:
    if not labels:
        raise ConfigError(f"{pack.info.name}: no clips to evaluate; give at least one recording per label")
    order = {label: index for index, label in enumerate(pack.labels)}
    for label in labels:
        if label not in order:
            raise ConfigError(f"{label!r} is not a label of pack {pack.info.name!r}; expected one of {', '.join(pack.labels)}")
    return np.array([order[label] for label in labels], dtype=np.int64)


def _compare(
    runner: FloatRunner,
    config: FrontendConfig,
    windows: Sequence[NDArray[np.int8]],
    actual: NDArray[np.int64],
    predicted: NDArray[np.int64],
) -> FloatComparison:
    """Runs the float model in batches and counts where the two models differ."""
    guesses: list[NDArray[np.int64]] = []
    for start in range(0, len(windows), FLOAT_BATCH):
        batch = np.stack(windows[start : start + FLOAT_BATCH]).astype(np.float32)
        outputs = np.asarray(runner((batch + 128.0) * np.float32(config.input_scale)))
        if outputs.shape[0] != batch.shape[0]:
            raise ModelError(f"float model: expected {batch.shape[0]} rows of posteriors, found shape {outputs.shape}")
        guesses.append(outputs.reshape(batch.shape[0], -1).argmax(axis=1))
    guess = np.concatenate(guesses)
    float_right, int8_right = guess == actual, predicted == actual
    return FloatComparison(
        correct=int(float_right.sum()),
        agree=int((guess == predicted).sum()),
        float_only=int((float_right & ~int8_right).sum()),
        int8_only=int((int8_right & ~float_right).sum()),
    )


def _mistakes(
    clips: Sequence[tuple[Path, str]], actual: NDArray[np.int64], outputs: NDArray[np.int8], labels: Sequence[str]
) -> tuple[Mistake, ...]:
    predicted = outputs.argmax(axis=1)
    found = [
        Mistake(f"{path.parent.name}/{path.name}", label, labels[int(guess)], (int(row[guess]) + 128) / 256)
        for (path, label), row, guess, truth in zip(clips, outputs, predicted, actual, strict=True)
        if guess != truth
    ]
    return tuple(sorted(found, key=lambda mistake: (-mistake.score, mistake.file)))
