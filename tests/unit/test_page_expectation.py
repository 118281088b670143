"""What a threshold is expected to cost: never less sure, never more, than the pack's figures."""

from itertools import pairwise
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_kws.evaluation.metrics import poisson_interval
from edge_kws.pack import Pack
from edge_kws.pack_info import Measurement, PackInfo
from edge_kws.service.page.expectation import expectation


def row(name, value, interval=None, kind=None, count=None, note=""):
    return Measurement(name=name, value=value, interval=interval, interval_kind=kind, count=count, data="d", runner="r", note=note)


def rate(accepts, hours, at=None):
    low, high = poisson_interval(accepts)
    name = "false accepts per hour" if at is None else f"false accepts per hour at threshold {at}"
    return row(name, accepts / hours, (low / hours, high / hours), "poisson", accepts)


def info(rows, threshold=0.9):
    return cast(PackInfo, SimpleNamespace(quality=rows, decoder={"thresholds": [None, threshold]}))


def at(spans, threshold):
    exact = [span for span in spans if span.start == span.end == threshold]
    return (exact or [span for span in spans if span.start <= threshold <= span.end])[0]


def test_pack_without_rates_cannot_tell():
    assert expectation(info([row("top1", 0.93)])) == ()
    assert expectation(Pack.load("commands").info) == ()


def test_own_threshold_is_what_was_measured_and_beyond_it_only_bounds_hold():
    spans = expectation(info([rate(4, 2.0)]))
    low, high = (bound / 2 for bound in poisson_interval(4))
    assert (at(spans, 0.9).rate, at(spans, 0.9).low, at(spans, 0.9).high) == (2.0, low, high)
    above, below = at(spans, 0.95), at(spans, 0.5)
    assert (above.rate, above.low, above.high) == (None, 0.0, high)
    assert above.text.startswith("at most 2 an hour")
    assert (below.rate, below.low, below.high) == (None, low, None)
    assert below.text.startswith("cannot tell")


def test_between_two_thresholds_the_rate_lies_between_theirs():
    spans = expectation(info([rate(4, 2.0), rate(1, 2.0, at=0.95)]))
    between = at(spans, 0.93)
    assert between.low == poisson_interval(1)[0] / 2
    assert between.high == poisson_interval(4)[1] / 2
    assert between.text.startswith("0.5 to 2 an hour")


def test_thresholds_chosen_for_a_rate_count_as_points():
    chosen = row("misses at 0.5 false accepts per hour", 0.2, note="threshold 0.965 chosen on these negatives, so optimistic")
    point = at(expectation(info([rate(4, 2.21), chosen])), 0.965)
    assert point.rate == pytest.approx(1 / 2.21)
    assert point.high == pytest.approx(poisson_interval(1)[1] / 2.21)


@pytest.mark.parametrize("note", ["", "threshold 9.5 chosen", "threshold chosen", "threshold 0.9655555555 chosen"])
def test_notes_that_say_nothing_are_passed_over(note):
    rows = [rate(4, 2.0), row("misses at 0.5 false accepts per hour", 0.2, note=note)]
    assert expectation(info(rows)) == expectation(info(rows[:1]))


def test_zero_events_prove_little():
    spans = expectation(info([rate(0, 2.0)]))
    assert at(spans, 0.9).text == "0 an hour (95 %: 0 to 1.8)"


def test_shipped_wake_word_says_what_its_card_says():
    pack = Pack.load("marvin")
    own = next(measured for measured in pack.info.quality if measured.name == "false accepts per hour")
    threshold = next(value for value in pack.decoder.thresholds if value is not None)
    span = at(expectation(pack.info), threshold)
    assert (span.rate, span.low, span.high) == (own.value, *(own.interval or ()))


@given(st.lists(st.tuples(st.integers(1, 999), st.integers(0, 50)), max_size=6), st.integers(0, 50), st.floats(0.1, 100))
def test_spans_cover_every_threshold_in_order_whatever_the_rows(points, own, hours):
    rows = [rate(own, hours), *(rate(accepts, hours, at=f"0.{level:03d}") for level, accepts in points)]
    spans = expectation(info(rows))
    assert spans[0].start == 0
    assert spans[-1].end == 1
    assert all(left.end == right.start for left, right in pairwise(spans))
    assert all(span.text for span in spans)
