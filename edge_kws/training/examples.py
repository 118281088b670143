"""Draws training examples: balanced over classes, words and sources, augmented afresh each time."""

# NumPy's stubs leave these unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge_kws.data.augmentation import MelAxis, decibels, mask, mixed, power, quiet_room, shifted, synthetic_noise
from edge_kws.data.features import AMPLITUDE_UNIT, MelStore
from edge_kws.frontend import FeatureBank
from edge_kws.training.recipe import Recipe
from edge_kws.training.translation import Translated

Amplitudes = NDArray[np.float32]
_HARD_DRAWS = 4
"""Cuts looked at for each hard negative kept."""
_SCARCE = 500
"""A word with fewer recordings than this takes more of its examples from pictures."""
_SCARCE_SHARE = 0.12
"""Share of its examples that the scarcest word takes from recordings. Were it nearly none while others take a half, what tells a recording
from a picture would tell the words apart (docs/design.md has the experiment)."""


@dataclass
class Word:
    """Examples of one word: rows of the recorded clips and of the translated pictures."""

    recorded: list[int] = field(default_factory=list)
    pictured: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.recorded) + len(self.pictured)


@dataclass(frozen=True)
class Material:
    """All that examples are drawn from, for one split.

    `clips` holds recordings of one clip length; `noise` and `negatives` long recordings.
    """

    words: dict[str, Word]
    clips: MelStore
    pictures: Translated | None
    noise: MelStore
    negatives: MelStore | None


class Examples:
    """Endless, seeded source of batches for a recipe."""

    def __init__(self, recipe: Recipe, material: Material) -> None:
        self.recipe = recipe
        self.material = material
        self.frames = recipe.window_frames
        self.bins = recipe.frontend.mel_bins
        frontend = recipe.frontend_config
        self._axis = MelAxis.build(frontend.lower_hz, frontend.upper_hz, self.bins, recipe.augmentation.pitch)
        # Noise reduction and gain control remember: 2 s of what surrounds a clip come before it.
        self._context = 2000 // frontend.hop_ms if frontend.has_memory else 0
        self._bank = FeatureBank(frontend)
        others = [word for word in material.words if word not in recipe.keywords and len(material.words[word])]
        weights = np.sqrt([len(material.words[word]) for word in others])
        self._others, self._other_weights = others, weights / weights.sum()

    def batches(
        self, epoch: int, score: "Callable[[NDArray[np.int8]], NDArray[np.float32]] | None" = None
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int32]]]:
        """One epoch of (features (batch, frames, mel_bins, 1) float, labels (batch,)), made ahead in a thread.

        Args:
            epoch: with the recipe's seed decides every draw.
            score: class-0 loss of int8 features; when given, negatives from long recordings are the worst of several drawn.
        """
        training = self.recipe.training
        random = np.random.default_rng([self.recipe.seed, epoch])
        labels = self._labels(random)
        ready: queue.Queue[tuple[NDArray[np.float32], NDArray[np.int32]] | BaseException | None] = queue.Queue(6)

        def produce() -> None:
            try:
                for first in range(0, len(labels) - training.batch + 1, training.batch):
                    chosen = labels[first : first + training.batch]
                    ready.put((self.model_input(self.features(chosen, random, score)), chosen))
                ready.put(None)
            except BaseException as error:
                ready.put(error)

        threading.Thread(target=produce, daemon=True).start()
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def model_input(self, features: NDArray[np.int8]) -> NDArray[np.float32]:
        """int8 features -> the real numbers a model sees, with a channel axis."""
        scale = np.float32(self.recipe.frontend_config.input_scale)
        return ((features.astype(np.float32) + 128) * scale)[..., np.newaxis]

    def _labels(self, random: np.random.Generator) -> NDArray[np.int32]:
        training, names = self.recipe.training, self.recipe.labels
        share = np.zeros(len(names))
        first_keyword = len(names) - len(self.recipe.keywords)
        share[first_keyword:] = training.keyword_share / len(self.recipe.keywords)
        share[first_keyword - 1] = training.unknown_share
        share[0] += 1 - share.sum()
        counts = np.floor(share * training.clips_per_epoch).astype(int)
        labels = np.repeat(np.arange(len(names)), counts).astype(np.int32)
        random.shuffle(labels)
        return labels

    def features(
        self,
        labels: NDArray[np.int32],
        random: np.random.Generator,
        score: "Callable[[NDArray[np.int8]], NDArray[np.float32]] | None" = None,
    ) -> NDArray[np.int8]:
        """Augmented int8 features (labels, frames, mel_bins)."""
        config, count = self.recipe.augmentation, len(labels)
        rest = len(self.recipe.labels) - len(self.recipe.keywords) - 1
        names = np.array([self._word(int(label), rest, random) for label in labels])
        clips = np.zeros((count, self.frames, self.bins), np.float32)
        spoken = np.flatnonzero((names != "") & (names != "/"))
        if len(spoken):
            clips[spoken] = self._spoken(names[spoken], random)
        cuts = np.flatnonzero(names == "/")
        if len(cuts):
            clips[cuts] = self._negatives(len(cuts), random, score)
        clips *= decibels(random.uniform(*config.gain_db, (count, 1, 1)))
        noise = self._noise(count, random)
        silent = names == ""
        noisy = (random.random(count) < config.noise_probability) & ~silent
        if noisy.any():
            clips[noisy] = mixed(clips[noisy], noise[noisy], random.uniform(*config.snr_db, int(noisy.sum())))
        clips[silent] = self._silence(noise[silent], random)
        features = self.quantised(clips, noise)
        mask(features, config, random)
        return features

    def _spoken(self, names: NDArray[np.str_], random: np.random.Generator) -> Amplitudes:
        """A clip of each word (names, frames, mel_bins), shifted, stretched and pitched."""
        config = self.recipe.augmentation
        other = config.shift_ms if config.unknown_shift_ms is None else config.unknown_shift_ms
        shift_ms = np.array([config.shift_ms if name in self.recipe.keywords else other for name in names])
        raw = np.stack([self._clip(str(name), random) for name in names])
        cuts, beyond = shifted(raw, self.frames, shift_ms / self.recipe.frontend.hop_ms, config.speed, random)
        cuts = self._axis.apply(cuts, random)
        beyond &= random.random((len(names), 1)) < config.edge_probability
        return np.where(beyond[..., np.newaxis], quiet_room(len(names), self.frames, self.bins, random), cuts)

    def _word(self, label: int, rest: int, random: np.random.Generator) -> str:
        """The word to speak; "" for silence, "/" for a cut from a long recording."""
        if label > rest:
            return self.recipe.labels[label]
        draw = random.random()
        if label == rest:
            negatives = sum(section.seconds_per_epoch for section in self.recipe.data.negatives)
            long = min(0.8, negatives / (self.recipe.training.clips_per_epoch * self.recipe.clip_ms / 1000))
            if self.material.negatives is not None and draw < long:
                return "/"
            if rest > 0 or draw < 0.9:
                return str(random.choice(self._others, p=self._other_weights))
        return ""

    def _clip(self, word: str, random: np.random.Generator) -> Amplitudes:
        rows = self.material.words[word]
        share = 1 - self.recipe.training.picture_share
        share = max(share * min(1.0, len(rows.recorded) / _SCARCE), min(share, _SCARCE_SHARE))
        from_recording = not rows.pictured or (bool(rows.recorded) and random.random() < share)
        if from_recording:
            clip = self.material.clips.frames(rows.recorded[random.integers(len(rows.recorded))])
            return clip.astype(np.float32) * AMPLITUDE_UNIT
        pictures = self.material.pictures
        assert pictures is not None
        clip = pictures.amplitudes[rows.pictured[random.integers(len(rows.pictured))]]
        texture = pictures.textures[random.integers(len(pictures.textures))]
        return clip.astype(np.float32) * texture * AMPLITUDE_UNIT

    def _cut(self, store: MelStore, random: np.random.Generator) -> Amplitudes:
        """A window of a long recording, every frame equally likely; shorter recordings are repeated."""
        frame = int(random.integers(store.starts[-1]))
        index = int(np.searchsorted(store.starts, frame, side="right")) - 1
        recording = store.frames(index)
        start = min(frame - int(store.starts[index]), max(0, len(recording) - self.frames))
        piece = recording[start : start + self.frames].astype(np.float32) * AMPLITUDE_UNIT
        return np.pad(piece, ((0, self.frames - len(piece)), (0, 0)), mode="wrap") if len(piece) < self.frames else piece

    def _negatives(
        self, count: int, random: np.random.Generator, score: "Callable[[NDArray[np.int8]], NDArray[np.float32]] | None"
    ) -> Amplitudes:
        """Cuts of long recordings; with `score`, a share of them are the worst of several drawn."""
        assert self.material.negatives is not None
        store = self.material.negatives
        pieces = np.stack([self._cut(store, random) for _ in range(count)])
        hard = int(count * self.recipe.training.hard_negative_share) if score is not None else 0
        if hard and score is not None:
            drawn = np.stack([self._cut(store, random) for _ in range(hard * _HARD_DRAWS)])
            losses = score(self.quantised(drawn))
            pieces[:hard] = drawn[np.argsort(losses)[-hard:]]
        return pieces

    def _noise(self, count: int, random: np.random.Generator) -> Amplitudes:
        synthetic = random.random(count) < self.recipe.augmentation.synthetic_noise_share
        noise = np.empty((count, self.frames, self.bins), np.float32)
        noise[synthetic] = synthetic_noise(int(synthetic.sum()), self.frames, self.bins, random)
        for i in np.flatnonzero(~synthetic):
            noise[i] = self._cut(self.material.noise, random)
        return noise

    def _silence(self, noise: Amplitudes, random: np.random.Generator) -> Amplitudes:
        """Room tone from nothing at all to loud."""
        level = decibels(random.uniform(-46, 6, (len(noise), 1, 1))) * 400
        scaled = noise / np.maximum(np.sqrt(power(noise)), 1) * level * np.sqrt(self.bins)
        as_recorded = random.random((len(noise), 1, 1)) < 0.4
        silent = np.where(as_recorded, noise * decibels(random.uniform(-30, 3, (len(noise), 1, 1))), scaled)
        return np.where(random.random((len(noise), 1, 1)) < 0.05, 0, silent).astype(np.float32)

    def quantised(self, clips: Amplitudes, noise: Amplitudes | None = None) -> NDArray[np.int8]:
        """int8 features of amplitudes (clips, frames, mel_bins); `noise`, or the clip itself, is what came before it."""
        noise = clips if noise is None else noise
        amplitudes = np.clip(np.rint(clips), 0, 2**22).astype(np.uint32)
        if not self._context:
            return self._bank.process(amplitudes.reshape(-1, self.bins)).reshape(clips.shape)
        before = np.clip(np.rint(np.tile(noise, (1, -(-self._context // self.frames), 1))[:, : self._context]), 0, 2**22).astype(np.uint32)
        whole = np.concatenate([before, amplitudes], axis=1)
        return np.stack([self._bank.process(clip)[self._context :] for clip in whole])
