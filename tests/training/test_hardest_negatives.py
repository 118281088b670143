"""Which losses of a batch a wake word learns from in the second half of its training."""

import numpy as np
import pytest

from edge_kws.training.loop import hardest


@pytest.mark.parametrize(
    ("labels", "share", "expected"),
    [
        ([0, 1, 0, 0, 1], 0.5, [0.1, 0.2, 0.8, 0.9]),  # of three negatives the two hardest, rounded up; every positive, however easy
        ([0, 0, 0, 0, 0], 0.2, [0.9]),
        ([1, 1, 1, 1, 1], 0.5, [0.1, 0.2, 0.3, 0.8, 0.9]),
    ],
)
def test_all_positives_and_the_hardest_negatives_count(labels: list[int], share: float, expected: list[float]) -> None:
    tensorflow = pytest.importorskip("tensorflow")
    losses = np.array([0.3, 0.1, 0.9, 0.8, 0.2], np.float32)
    counted = np.asarray(hardest(tensorflow.constant(losses), tensorflow.constant(np.array(labels, np.int32)), share))
    assert sorted(counted.tolist()) == pytest.approx(expected)
