"""Metrics against SciPy, scikit-learn and statsmodels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2
from sklearn.metrics import confusion_matrix as sklearn_confusion_matrix
from sklearn.metrics import recall_score
from statsmodels.stats.proportion import proportion_confint

from edge_kws.evaluation.metrics import (
    confusion_matrix,
    hours_to_claim,
    macro_recall,
    poisson_interval,
    poisson_upper_bound,
    wilson_interval,
)


@given(
    st.integers(1, 20_000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))), st.sampled_from([0.8, 0.95, 0.99])
)
def test_wilson_interval_equals_statsmodels(counts: tuple[int, int], confidence: float) -> None:
    successes, trials = counts
    expected = proportion_confint(successes, trials, alpha=1 - confidence, method="wilson")
    assert wilson_interval(successes, trials, confidence) == pytest.approx(expected, abs=1e-12)


def test_wilson_interval_without_trials_knows_nothing() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("successes", "trials"), [(-1, 3), (4, 3), (1, 0)])
def test_wilson_interval_refuses_impossible_counts(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="successes must lie in"):
        wilson_interval(successes, trials)


@given(st.integers(0, 100_000), st.sampled_from([0.8, 0.95, 0.99]))
def test_poisson_interval_equals_garwood_by_chi_square(events: int, confidence: float) -> None:
    tail = (1 - confidence) / 2
    low = chi2.ppf(tail, 2 * events) / 2 if events else 0.0
    high = chi2.ppf(1 - tail, 2 * events + 2) / 2
    assert poisson_interval(events, confidence) == pytest.approx((low, high), rel=1e-9)
    assert poisson_upper_bound(events, confidence) == pytest.approx(chi2.ppf(confidence, 2 * events + 2) / 2, rel=1e-9)


def test_poisson_interval_reproduces_the_published_peer_figures() -> None:
    # 6 false accepts at 1.10/h were printed as [0.41, 2.40].
    low, high = poisson_interval(6)
    assert (low * 1.10 / 6, high * 1.10 / 6) == pytest.approx((0.41, 2.40), abs=0.01)


def test_no_event_proves_three_over_the_hours() -> None:
    assert poisson_upper_bound(0) == pytest.approx(2.9957, abs=1e-4)
    assert hours_to_claim(0.5) == pytest.approx(5.99, abs=0.01)
    assert hours_to_claim(0.1) == pytest.approx(29.96, abs=0.01)


def test_poisson_refuses_negative_counts() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        poisson_interval(-1)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=80))
def test_confusion_and_macro_recall_equal_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    actual, predicted = zip(*pairs, strict=True)
    found = confusion_matrix(actual, predicted, 5)
    assert np.array_equal(found, sklearn_confusion_matrix(actual, predicted, labels=range(5)))
    mean, (low, high) = macro_recall(found)
    assert mean == pytest.approx(recall_score(actual, predicted, labels=sorted(set(actual)), average="macro", zero_division=0))  # pyright: ignore[reportArgumentType]
    assert 0 <= low <= mean <= high <= 1


def test_macro_recall_interval_covers_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    recalls, clips = np.array([0.95, 0.8, 0.99]), np.array([40, 60, 30])
    covered = 0
    for _ in range(1000):
        correct = rng.binomial(clips, recalls)
        low, high = macro_recall(
            np.array([np.roll([right, total - right, 0], row) for row, (right, total) in enumerate(zip(correct, clips, strict=True))])
        )[1]
        covered += low <= recalls.mean() <= high
    assert 930 <= covered <= 990


def test_macro_recall_of_one_class_has_its_wilson_interval() -> None:
    mean, interval = macro_recall(np.array([[9, 1], [0, 0]]))
    assert mean == 0.9
    assert interval == pytest.approx(wilson_interval(9, 10))


def test_metrics_refuse_what_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="at least one clip"):
        macro_recall(np.zeros((3, 3), dtype=np.int64))
    with pytest.raises(ValueError, match="2 actual classes but 1 predicted"):
        confusion_matrix([0, 1], [0], 2)
    with pytest.raises(ValueError, match=r"must lie in 0\.\.1"):
        confusion_matrix([0, 2], [0, 1], 2)
