"""What a freshly trained pack can do, measured on recordings kept from training, as the rows of its model card."""

# NumPy's stubs leave these unknown.
# pyright: reportUnknownMemberType=false

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_kws.audio.file import WavFile
from edge_kws.decoder import Decoder, DecoderConfig
from edge_kws.evaluation.clips import RUNNER, ClipResult, evaluate_clips
from edge_kws.evaluation.operating_points import OperatingPoint, Track
from edge_kws.evaluation.streams import Streamer, in_parallel
from edge_kws.evaluation.wake_word import evaluate_wake_word
from edge_kws.pack import Measurement, Pack
from edge_kws.training.material import Prepared, Say
from edge_kws.training.recipe import SILENCE, UNKNOWN, Recipe

_WORKERS = 2
_THRESHOLDS = tuple(round(0.3 + 0.025 * step, 3) for step in range(27))
_THRESHOLD_CLIPS = 120
"""Validation clips of a class that decide on a keywords pack's threshold."""
_RUNNER = f"{RUNNER}, C front end"
_STREAM_RUNNER = f"{RUNNER}, C front end, C decoder, streamed"
_CLIPS = "Speech Commands v0.02, the test clips at hand; _silence_: noise recordings held out"
_RECORDINGS = "Speech Commands v0.02, the test recordings at hand"


def decoder_config(recipe: Recipe, threshold: float) -> DecoderConfig:
    """The recipe's decoder; `threshold` (0..1 on the moving average) for each keyword, the other classes never fire."""
    step_ms = recipe.frontend.hop_ms * recipe.inference_stride_hops
    return DecoderConfig(
        thresholds=tuple(threshold if label in recipe.keywords else None for label in recipe.labels),
        average_window=recipe.decoder.average_window,
        min_consecutive=recipe.decoder.min_consecutive,
        refractory_steps=recipe.decoder.refractory_ms // step_ms,
    )


def with_keyword_threshold(pack: Pack, recipe: Recipe, prepared: Prepared, say: Say) -> Pack:
    """Chooses one threshold for all keywords: the best F1 of events over streamed validation clips and held-out noise.

    A clip of a keyword wants one event of its label; every other event is false.
    """
    random = np.random.default_rng(recipe.seed)
    room = dict.fromkeys(pack.labels, _THRESHOLD_CLIPS)
    room[UNKNOWN] *= len(recipe.keywords)
    jobs: list[tuple[str, Path]] = [(SILENCE, recording.path) for recording in prepared.held_out_noise]
    order: list[int] = random.permutation(len(prepared.validation)).tolist()
    for row in order:
        clip = prepared.validation[row]
        label = clip.label if clip.label in recipe.keywords else UNKNOWN
        if room[label]:
            room[label] -= 1
            jobs.append((label, clip.path))

    def work(streamer: Streamer, job: tuple[str, Path]) -> Track:
        return streamer.track(job[1].name, job[0], WavFile(job[1]).blocks())

    tracks = in_parallel(lambda: Streamer(pack), work, jobs, _WORKERS)
    wanted = sum(track.stratum in recipe.keywords for track in tracks)

    def counts(threshold: float) -> tuple[int, int]:
        decoder, hits, events = Decoder(decoder_config(recipe, threshold)), 0, 0
        for track in tracks:
            decoder.reset()
            heard = [pack.labels[found.class_index] for found in decoder.process(track.posteriors) if found.step >= track.first_step]
            hits += track.stratum in heard
            events += len(heard)
        return hits, events

    found = {threshold: counts(threshold) for threshold in _THRESHOLDS}
    best = max(found, key=lambda threshold: 2 * found[threshold][0] / (wanted + found[threshold][1]))
    hits, events = found[best]
    say(f"threshold {best}: {hits} of {wanted} keywords heard, {events - hits} other events, on {len(jobs)} validation recordings streamed")
    return with_threshold(pack, recipe, best)


def with_threshold(pack: Pack, recipe: Recipe, threshold: float) -> Pack:
    """The pack with another threshold."""
    info = pack.info.model_copy(update={"decoder": decoder_config(recipe, threshold).to_dict()})
    return Pack.read(Pack(None, pack.model, info, pack.golden).to_bytes())


def measured_clips(pack: Pack, model: Any, prepared: Prepared, say: Say) -> Pack:
    """Adds the quality of a keywords pack: int8 and float top-1 and the recall of each class, on the test clips.

    Args:
        pack: the pack without quality.
        model: the Keras model it was made of, (batch, frames, mel_bins, 1) float -> logits.
        prepared: whose test clips and held-out noise are used.
        say: takes the figures, a line at a time.
    """
    clips = [(clip.path, clip.label if clip.label in pack.labels else UNKNOWN) for clip in prepared.test]
    clips += [(recording.path, SILENCE) for recording in prepared.held_out_noise]

    def floating(windows: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(model(windows[..., np.newaxis], training=False))

    result = evaluate_clips(pack, clips, floating, workers=_WORKERS)
    say(f"test: top-1 {100 * result.top1:.2f} % of {result.count} clips, macro recall {100 * result.macro_recall:.2f} %")
    for label in pack.labels:
        correct, count, recall, _ = result.recall(label)
        if recall is not None:
            say(f"  {label:10s} {correct}/{count}")
    if result.floating is not None:
        say(f"  float top-1 {100 * result.floating.correct / result.count:.2f} %")
    return pack.with_quality(_clip_rows(pack, result))


def _clip_rows(pack: Pack, result: ClipResult) -> list[Measurement]:
    def row(name: str, value: float, count: int, interval: tuple[float, float] | None = None) -> Measurement:
        kind = None if interval is None else "wilson"
        return Measurement(name=name, value=value, interval=interval, interval_kind=kind, count=count, data=_CLIPS, runner=_RUNNER)

    rows = [row("top1", result.top1, result.count, result.top1_interval), row("macro recall", result.macro_recall, result.count)]
    for label in pack.labels:
        _, count, recall, interval = result.recall(label)
        if recall is not None:
            rows.append(row(f"recall {label}", recall, count, interval))
    if result.floating is not None:
        share = result.floating.correct / result.count
        rows.append(row("top1 float", share, result.count).model_copy(update={"runner": "Keras float", "note": "before int8"}))
    return rows


def measured_wake_word(pack: Pack, recipe: Recipe, prepared: Prepared, say: Say) -> Pack:
    """Chooses the threshold on validation recordings unless the recipe has one; adds misses and false accepts on test recordings.

    Args:
        pack: the pack without quality.
        recipe: whose decoder and target rate of false accepts are used.
        prepared: whose validation and test recordings are used.
        say: takes the figures, a line at a time.
    """
    if recipe.decoder.threshold is None:
        found = evaluate_wake_word(pack, *_recordings(recipe, prepared, "validation"), workers=_WORKERS)
        point = next(p for p in found.operating_points if p.target_per_hour == recipe.decoder.max_false_accepts_per_hour)
        say(f"threshold {point.threshold:.3f}: {100 * point.miss_rate:.1f} % misses on validation recordings")
        pack = with_threshold(pack, recipe, point.threshold)
    result = evaluate_wake_word(pack, *_recordings(recipe, prepared, "test"), workers=_WORKERS)
    own = result.own
    say(f"test: {100 * own.miss_rate:.1f} % misses, {own.total_false_accepts} false accepts in {own.hours:.2f} h")
    strata = "; ".join(f"{stratum.name} {stratum.hours:.2f} h" for stratum in result.strata)
    false_accepts = Measurement(
        name="false accepts per hour",
        value=own.false_accepts_per_hour,
        interval=own.false_accepts_interval,
        interval_kind="poisson",
        count=own.total_false_accepts,
        data=f"held out: {strata}",
        runner=_STREAM_RUNNER,
        note="; ".join(claim.text for claim in own.claims)[:200],
    )
    others = [
        _misses(
            f"misses at {point.target_per_hour} false accepts per hour",
            point,
            f"threshold {point.threshold:.3f} chosen on these negatives, so optimistic",
        )
        for point in result.operating_points[1:]
    ]
    return pack.with_quality([_misses("misses", own, "speakers training never saw"), false_accepts, *others])


def _misses(name: str, point: OperatingPoint, note: str) -> Measurement:
    return Measurement(
        name=name,
        value=point.miss_rate,
        interval=point.miss_interval,
        interval_kind="wilson",
        count=point.positives,
        data=_RECORDINGS,
        runner=_STREAM_RUNNER,
        note=note,
    )


def _recordings(recipe: Recipe, prepared: Prepared, split: str) -> tuple[list[Path], dict[str, list[Path]]]:
    """Recordings of the word, and of everything else by stratum."""
    clips = prepared.validation if split == "validation" else prepared.test
    word = recipe.keywords[0]
    strata = {"other words": [clip.path for clip in clips if clip.label != word]}
    for source, recordings in prepared.held_out_negatives.items():
        if chosen := [recording.path for recording in recordings if recording.split == split]:
            strata[source] = chosen
    return [clip.path for clip in clips if clip.label == word], strata
