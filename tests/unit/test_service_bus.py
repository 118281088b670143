"""The event bus: everyone gets everything, nobody holds anybody up."""

import threading

from edge_kws.service.bus import EventBus
from edge_kws.service.records import Noticed


def notice(number):
    return Noticed(float(number), "test", str(number))


def test_each_subscriber_gets_what_came_after_it_subscribed():
    bus = EventBus()
    first = bus.subscribe()
    bus.publish(notice(0))
    second = bus.subscribe()
    bus.publish(notice(1))
    assert [first.get(0), first.get(0), first.get(0)] == [notice(0), notice(1), None]
    assert [second.get(0), second.get(0)] == [notice(1), None]


def test_a_slow_subscriber_loses_its_oldest_records_and_nobody_elses():
    bus = EventBus()
    slow, quick = bus.subscribe(3), bus.subscribe(100)
    for number in range(10):
        bus.publish(notice(number))
    assert [slow.get(0) for _ in range(3)] == [notice(7), notice(8), notice(9)]
    assert slow.dropped == 7
    assert (len(quick), quick.dropped) == (10, 0)


def test_closing_wakes_the_reader_and_what_is_queued_can_be_read():
    bus = EventBus()
    subscription = bus.subscribe()
    bus.publish(notice(0))
    subscription.close()
    bus.publish(notice(1))
    assert subscription.get(0) == notice(0)
    read = []
    reader = threading.Thread(target=lambda: read.append(subscription.get()))
    reader.start()
    reader.join(10)
    assert read == [None]
    assert subscription.closed
