"""Wake-word evaluation: the same events as the Detector, and errors at every threshold as a decoder written out here counts them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import det_curve

from edge_kws.decoder import DecoderConfig
from edge_kws.detector import Detector
from edge_kws.errors import AudioError, ConfigError
from edge_kws.evaluation.metrics import poisson_interval, wilson_interval
from edge_kws.evaluation.operating_points import Claim, DecoderSweep, Track, allowed_false_accepts
from edge_kws.evaluation.streams import NOISE_SEED, Streamer, lead_in, quiet_noise, step_end
from edge_kws.evaluation.wake_word import WakeWordResult, evaluate_wake_word, judge, wake_label
from edge_kws.frontend import FrontendConfig
from edge_kws.pack import Pack
from tests.golden.loudness_pack import loudness_pack
from tests.golden.tiny_model import tiny_pack


def bursts(seconds: float, at: list[float], level: float = 9000, seed: int = 1) -> NDArray[np.int16]:
    """Quiet noise with loud noise of 0.3 s at the given times."""
    rng = np.random.default_rng(seed)
    pcm = rng.normal(0, 20, round(seconds * 16000))
    for start in at:
        here = slice(round(start * 16000), round((start + 0.3) * 16000))
        pcm[here] += rng.normal(0, level, pcm[here].size)
    return pcm.clip(-32768, 32767).astype(np.int16)


@pytest.fixture(scope="module")
def pack() -> Pack:
    return loudness_pack()


@pytest.fixture(scope="module")
def result(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> WakeWordResult:
    root = tmp_path_factory.mktemp("wake")
    for index, at in enumerate([[0.3], [0.2, 1.6], [1.69], []]):
        soundfile.write(root / f"p{index}.wav", bursts(2, at, seed=index), 16000)
    soundfile.write(root / "n0.wav", bursts(20, [2, 2.2, 9, 15], seed=10), 16000)
    soundfile.write(root / "n1.wav", bursts(10, [], seed=11), 16000)
    soundfile.write(root / "n2.wav", bursts(30, [4], seed=12), 16000)
    negatives = {"talk": [root / "n0.wav", root / "n1.wav"], "music": [root / "n2.wav"]}
    return evaluate_wake_word(pack, [root / f"p{index}.wav" for index in range(4)], negatives, workers=2)


def test_counts_hits_once_a_recording_and_false_accepts_once_a_refractory(result: WakeWordResult) -> None:
    own = result.own
    assert result.label == "loud"
    assert (own.misses, own.positives) == (1, 4)
    assert [miss.file.split("/")[1] for miss in result.missed] == ["p3.wav"]
    assert own.false_accepts == {"talk": 3, "music": 1}
    assert [(stratum.name, stratum.files, stratum.files_accepted) for stratum in result.strata] == [("talk", 2, 1), ("music", 1, 1)]
    assert result.hours == pytest.approx(60 / 3600)
    assert own.false_accepts_per_hour == pytest.approx(240)
    times = sorted(round(event.time_s, 1) for event in result.false_accepts)
    assert times == pytest.approx([2.1, 4.1, 9.1, 15.1], abs=0.11)


def test_intervals_are_wilson_and_garwood(result: WakeWordResult) -> None:
    own = result.own
    assert own.miss_interval == wilson_interval(1, 4)
    assert own.false_accepts_interval == pytest.approx(tuple(bound * 60 for bound in poisson_interval(4)))


def test_json_keys_and_values(result: WakeWordResult) -> None:
    found = result.to_dict()
    assert (found["schema_version"], found["task"], found["label"], found["positives"]) == (1, "wake_word", "loud", 4)
    assert [point["key"] for point in found["operating_points"]] == ["pack", "fa_0.5", "fa_0.1"]
    for key in ("threshold", "misses", "miss_rate", "miss_interval", "false_accepts", "false_accepts_per_hour", "false_accepts_interval"):
        assert found[key] == found["operating_points"][0][key]
    for point in found["operating_points"]:
        assert sum(point["false_accepts_by_stratum"].values()) == point["false_accepts"]
    assert found["operating_points"][1]["false_accepts"] == 0
    assert sum(stratum["hours"] for stratum in found["strata"]) == pytest.approx(found["negative_hours"])
    assert len(found["cannot_claim"]) == 4
    thresholds = [point["threshold"] for point in found["det"]]
    assert thresholds == sorted(thresholds)
    assert found["threshold"] in thresholds
    assert found["det"][-1]["misses"] == 4
    assert found["det"][-1]["false_accepts"] == 0
    assert len(found["false_accept_events"]) == 4


def test_events_are_those_of_the_detector(pack: Pack) -> None:
    recording = bursts(12, [0.5, 3, 3.4, 7.77, 11.95], seed=5)
    tail = quiet_noise(8000, NOISE_SEED + 1)
    streamer = Streamer(pack)
    streamer.track("other", "", [bursts(2, [1])])  # leaves no trace: a track starts from reset
    track = streamer.track("x", "", np.array_split(recording, 9))
    sweep = DecoderSweep(pack.decoder, 1, [track], [])
    ours = [(step_end(pack, event.step), event.score) for event in sweep.events(track, 0.6)]
    detector = Detector([pack], reference=True)
    theirs = [(event.end, event.score) for event in detector.process(np.concatenate([streamer.lead_in, recording, tail]))]
    assert ours == theirs
    assert len(ours) >= 4
    assert ours[-1][0] > streamer.lead_in.size + recording.size, "the last burst ends with the file and fires in the tail"


def test_the_lead_in_fills_window_and_average(pack: Pack) -> None:
    samples = lead_in(pack).size
    assert samples % pack.frontend.hop_samples == 0
    assert samples >= 32000
    slow = replace(
        pack, info=pack.info.model_copy(update={"decoder": {**pack.info.decoder, "average_window": 60}, "inference_stride_hops": 5})
    )
    assert lead_in(slow).size >= step_end(slow, 60)


def test_events_in_the_lead_in_do_not_count() -> None:
    posteriors = np.full((100, 1), -128, np.int8)
    posteriors[10] = posteriors[60] = 127
    early, late = (Track("x", "", posteriors, first_step, 1.0) for first_step in (11, 10))
    config = DecoderConfig(thresholds=(0.5,), average_window=1, min_consecutive=1, refractory_steps=5)
    sweep = DecoderSweep(config, 0, [], [early])
    assert [event.step for event in sweep.events(early, 0.5)] == [60]
    assert [event.step for event in sweep.events(late, 0.5)] == [10, 60]


def decode(posteriors: NDArray[np.int8], config: DecoderConfig, level: int) -> list[int]:
    """The decoder written out: steps that fire where sums of posteriors reach `level`."""
    values = posteriors[:, 0].astype(int) + 128
    fired: list[int] = []
    run = wait = 0
    for step in range(config.average_window - 1, len(values)):
        run = run + 1 if values[step - config.average_window + 1 : step + 1].sum() >= level else 0
        if wait:
            wait -= 1
        elif run >= config.min_consecutive:
            fired.append(step)
            run, wait = 0, config.refractory_steps
    return fired


configs = st.builds(
    DecoderConfig,
    thresholds=st.just((0.5,)),
    average_window=st.integers(1, 5),
    min_consecutive=st.integers(1, 4),
    refractory_steps=st.integers(0, 30),
)


@settings(max_examples=40)
@given(configs, st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_every_threshold_counts_as_the_decoder_does(config: DecoderConfig, seed: int, allowed: int) -> None:
    rng = np.random.default_rng(seed)

    def track(name: str) -> Track:
        steps = int(rng.integers(0, 90))
        walk = np.cumsum(rng.normal(0, 25, steps)) - rng.uniform(0, 150)
        return Track(name, "", walk.clip(-128, 127).astype(np.int8)[:, None], int(rng.integers(0, 20)), 1.0)

    positives, negatives = [track("p") for _ in range(4)], [track("n") for _ in range(4)]
    sweep = DecoderSweep(config, 0, positives, negatives)
    top = 256 * config.average_window
    for point in sweep.det():
        level = int(np.ceil(point.threshold * top))
        hits = [[step for step in decode(t.posteriors, config, level) if step >= t.first_step] for t in positives]
        accepts = [[step for step in decode(t.posteriors, config, level) if step >= t.first_step] for t in negatives]
        assert point.misses == sum(not hit for hit in hits)
        assert point.false_accepts == sum(map(len, accepts))
    chosen = sweep.threshold_for(allowed)
    assert sweep.at(chosen).false_accepts <= allowed
    below = chosen - 1 / top
    assert below <= 0 or sweep.at(below).false_accepts > allowed


def test_independent_trials_give_the_det_curve_of_scikit_learn() -> None:
    rng = np.random.default_rng(4)
    peaks = {"p": rng.integers(60, 250, 60), "n": rng.integers(0, 200, 80)}

    def track(peak: int) -> Track:
        posteriors = np.full((5, 1), -128, np.int8)
        posteriors[2] = peak - 128
        return Track("x", "", posteriors, 0, 1.0)

    config = DecoderConfig(thresholds=(0.5,), average_window=1, min_consecutive=1, refractory_steps=10)
    sweep = DecoderSweep(config, 0, [track(peak) for peak in peaks["p"]], [track(peak) for peak in peaks["n"]])
    labels, scores = np.repeat([1, 0], [60, 80]), np.concatenate([peaks["p"], peaks["n"]])
    false_positive, false_negative, thresholds = det_curve(labels, scores)
    finite = np.isfinite(thresholds)
    for rate, missed, threshold in zip(false_positive[finite], false_negative[finite], thresholds[finite], strict=True):
        point = sweep.at((threshold - 0.5) / 256)
        assert point.false_accepts / 80 == pytest.approx(rate)
        assert point.misses / 60 == pytest.approx(missed)
    coarse = sweep.det()
    assert len(coarse) <= 256 + len(thresholds)
    assert {point.misses for point in coarse} >= {round(missed * 60) for missed in false_negative if missed}


@pytest.mark.parametrize(
    ("rate", "accepts", "hours", "proven", "words"),
    [
        (
            0.5,
            0,
            5.9,
            False,
            "cannot claim 0.5 FA/h: 0 false accepts in 5.90 h prove only <= 0.51 (95 %, one-sided); it takes 6 h without one",
        ),
        (0.5, 0, 6.0, True, "can claim <= 0.5 FA/h: 0 false accepts in 6.00 h prove <= 0.50"),
        (0.5, 1, 9.0, False, "1 false accept in 9.00 h prove only <= 0.53"),
        (0.5, 1, 9.5, True, "can claim"),
        (0.1, 0, 29.0, False, "cannot claim 0.1 FA/h"),
        (0.1, 0, 30.0, True, "can claim <= 0.1 FA/h"),
    ],
)
def test_claims_need_their_hours(rate: float, accepts: int, hours: float, proven: bool, words: str) -> None:
    claim = Claim(rate, accepts, hours)
    assert claim.proven is proven
    assert words in claim.text


def test_allowed_false_accepts_never_exceed_the_rate() -> None:
    assert [allowed_false_accepts(0.5, hours) for hours in (1, 1.99, 2, 5.4)] == [0, 0, 1, 2]
    assert allowed_false_accepts(0.1, 30) == 3


def test_front_ends_with_memory_get_their_two_seconds() -> None:
    assert Streamer(loudness_pack()).lead_in.size >= 2 * 16000
    assert FrontendConfig(pcan=True).has_memory


def test_what_is_no_wake_word_is_refused(pack: Pack, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exactly one label with a threshold, found yes, no"):
        wake_label(tiny_pack())
    some = tmp_path / "a.wav"
    soundfile.write(some, bursts(1, []), 16000)
    with pytest.raises(ConfigError, match="no negatives"):
        evaluate_wake_word(pack, [some], {})
    with pytest.raises(ConfigError, match="no positives"):
        evaluate_wake_word(pack, [], {"talk": [some]})
    with pytest.raises(ConfigError, match="hours of negatives"):
        judge(pack, [Track("a", "", np.zeros((5, 2), np.int8), 0, 1.0)], [])
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    with pytest.raises(AudioError, match=r"broken\.wav"):
        evaluate_wake_word(pack, [some], {"talk": [broken]})
