"""Shedding: the least important first, wake words never, back on when there is room."""

from edge_kws.service.overload import Overload

PRIORITIES = {"marvin": 30, "jarvis": 30, "sounds": 20, "scenes": 10, "birds": 10}
PERIOD = 2 * 16_000


def run(overload, load, periods=1, backlog=0, cpu=None):
    orders = []
    for _ in range(periods):
        orders += overload.step(load * 2, PERIOD, backlog, cpu or (lambda _: 0.0))
    return orders


def test_the_least_important_goes_first_and_wake_words_never():
    overload = Overload(PRIORITIES)
    orders = run(overload, 1.5, periods=10)
    assert orders == [("birds", True), ("scenes", True), ("sounds", True)], "of equal priority, the one named last"
    assert overload.shed == ("birds", "scenes", "sounds")
    assert overload.load == 1.5


def test_a_backlog_sheds_as_well_as_a_load():
    assert run(Overload(PRIORITIES), 0.1, backlog=9000) == [("birds", True)]
    assert run(Overload(PRIORITIES), 0.1, backlog=900) == []


def test_they_come_back_one_by_one_when_it_has_been_calm_for_a_while():
    overload = Overload(PRIORITIES)
    run(overload, 1.5, periods=2)
    assert run(overload, 0.2, periods=4) == []
    assert run(overload, 0.2, periods=1) == [("scenes", False)]
    assert run(overload, 0.8, periods=20) == [], "neither high nor low: nothing changes"
    assert run(overload, 0.2, periods=5) == [("birds", False)]
    assert overload.shed == ()


def test_what_would_be_too_much_again_stays_off():
    overload = Overload(PRIORITIES)
    used = {"birds": 0.0}

    def cpu(name):
        used["birds"] += 1.0 if name == "birds" else 0.0  # half a core
        return used.get(name, 0.0)

    run(overload, 0.5, cpu=cpu)
    assert overload.pack_load("birds") == 0.5
    run(overload, 1.2, cpu=cpu)
    assert overload.shed == ("birds",)
    assert overload.pack_load("birds") == 0.0
    assert run(overload, 0.5, periods=50, cpu=lambda _: used["birds"]) == []


def test_packs_of_one_priority_are_never_shed():
    assert run(Overload({"a": 5, "b": 5}), 9.0, periods=9) == []


def test_short_blocks_add_up():
    overload = Overload(PRIORITIES)
    orders = [order for _ in range(40) for order in overload.step(0.06, 800, 0, lambda _: 0.0)]
    assert orders == [("birds", True)]
    assert round(overload.load, 3) == 1.2
