"""The C decoder against a plain Python one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_kws.decoder import Decoder, DecoderConfig, Detection
from edge_kws.errors import ConfigError


def _reference(config: DecoderConfig, posteriors: NDArray[np.int8]) -> list[tuple[int, int]]:
    """(step, class) of each detection, from the definition."""
    levels = posteriors.astype(int) + 128
    found: list[tuple[int, int]] = []
    run, waiting = [0] * len(config.thresholds), 0
    for step in range(config.average_window - 1, len(levels)):
        sums = levels[step - config.average_window + 1 : step + 1].sum(axis=0)
        best = -1
        for index, threshold in enumerate(config.thresholds):
            limit = None if threshold is None else min(65534, round(threshold * 65536)) * config.average_window
            run[index] = 0 if limit is None or sums[index] * 256 < limit else min(run[index] + 1, config.min_consecutive)
            if run[index] == config.min_consecutive and (best < 0 or sums[index] > sums[best]):
                best = index
        if waiting:
            waiting -= 1
        elif best >= 0:
            found.append((step, best))
            waiting, run = config.refractory_steps, [0] * len(run)
    return found


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    average=st.integers(1, 8),
    consecutive=st.integers(1, 4),
    refractory=st.integers(0, 10),
    thresholds=st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=4),
)
def test_it_equals_its_definition_in_any_chunking(
    seed: int, average: int, consecutive: int, refractory: int, thresholds: list[float | None]
) -> None:
    random = np.random.default_rng(seed)
    config = DecoderConfig(thresholds=tuple(thresholds), average_window=average, min_consecutive=consecutive, refractory_steps=refractory)
    posteriors = random.integers(-128, 128, (60, len(thresholds))).astype(np.int8)
    whole = Decoder(config).process(posteriors)
    assert [(d.step, d.class_index) for d in whole] == _reference(config, posteriors)
    decoder, parts, start = Decoder(config), list[Detection](), 0
    while start < len(posteriors):
        size = int(random.integers(1, 20))
        parts += decoder.process(posteriors[start : start + size])
        start += size
    assert parts == whole


def test_mute_until_the_average_is_full_and_after_reset() -> None:
    decoder = Decoder(DecoderConfig(thresholds=(0.5,), average_window=4))
    loud = np.full((3, 1), 127, np.int8)
    assert decoder.process(loud) == []
    decoder.reset()
    assert decoder.process(loud) == []
    assert [d.step for d in decoder.process(loud[:1])] == [3]
    assert decoder.smoothed()[0] == pytest.approx(255 / 256)


def test_a_threshold_can_be_set_for_all_classes_and_taken_back() -> None:
    decoder = Decoder(DecoderConfig(thresholds=(None, 0.5, 0.9)))
    posteriors = np.array([[0, 20, 100], [0, 100, 20]], np.int8)  # 0.5, 0.58, 0.89 and 0.5, 0.89, 0.58

    def fired() -> list[tuple[int, int]]:
        decoder.reset()
        return [(d.step, d.class_index) for d in decoder.process(posteriors)]

    assert fired() == [(0, 1), (1, 1)]
    decoder.set_threshold(0.8)
    assert fired() == [(0, 2), (1, 1)], "a class that never fires still never does"
    decoder.set_threshold(0.95)
    assert fired() == []
    decoder.set_threshold(None)
    assert fired() == [(0, 1), (1, 1)], "each its own again"
    with pytest.raises(ConfigError, match="threshold"):
        decoder.set_threshold(1.5)


@pytest.mark.parametrize(
    "values",
    [
        {"thresholds": []},
        {"thresholds": [1.5]},
        {"thresholds": [0.5], "average_window": 65},
        {"thresholds": [0.5], "min_consecutive": 0},
        {"thresholds": [0.5], "colour": 1},
        {"thresholds": ["high"]},
        {},
    ],
)
def test_bad_configurations_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="decoder"):
        DecoderConfig.from_dict(values)


def test_posteriors_of_another_shape_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"\(steps, 1\) int8"):
        Decoder(DecoderConfig(thresholds=(0.5,))).process(np.zeros((2, 3), np.int8))
