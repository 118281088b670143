"""Every second: tells systemd and the journal whether audio flows, and notices what the inputs cannot."""

import time
from collections.abc import Sequence

from edge_kws.service.bus import EventBus
from edge_kws.service.listening import STALL_S, Listening
from edge_kws.service.log import Level, log
from edge_kws.service.notify import Notifier
from edge_kws.service.records import InputStatus, Noticed

_HUNG_S = 30.0  # without a sign of life for this long an input's thread hangs in a driver
_JUMP_S = 2.0


class Health:
    """Readiness, watchdog and status line for systemd; clock jumps. `ready` says whether READY went out.

    READY goes out when every input has been heard once. The watchdog is fed while audio flows: at least one input delivers, and no
    input's thread hangs. A daemon gone deaf is therefore restarted, and the new one is not ready until it hears: no restart loop.
    """

    def __init__(self, bus: EventBus, notifier: Notifier) -> None:
        self._bus = bus
        self._notifier = notifier
        self.ready = False
        self._offset = time.time() - time.monotonic()

    def check(self, inputs: Sequence[Listening]) -> bool:
        """One look, once a second. Returns whether audio flows."""
        self._watch_clock()
        for entry in inputs:
            entry.check_stall()
        now = time.monotonic()
        flowing = [entry for entry in inputs if entry.last_audio is not None and now - entry.last_audio < STALL_S]
        hung = [entry for entry in inputs if now - entry.progress > _HUNG_S and entry.status != InputStatus.ENDED]
        if not self.ready and all(entry.last_audio is not None for entry in inputs):
            self.ready = True
            self._notifier.send("READY=1")
            log(Level.NOTICE, f"listening to {', '.join(entry.config.name for entry in inputs)}")
        alive = bool(flowing) and not hung
        if alive:
            self._notifier.send("WATCHDOG=1")
        self._notifier.status(_summary(inputs))
        return alive

    def _watch_clock(self) -> None:
        offset = time.time() - time.monotonic()
        if abs(offset - self._offset) > _JUMP_S:
            detail = f"the clock jumped by {offset - self._offset:+.0f} s; events before and after it do not fit together"
            log(Level.WARNING, detail)
            self._bus.publish(Noticed(time.time(), "clock", detail))
        self._offset = offset


def _summary(inputs: Sequence[Listening]) -> str:
    """One line: which input is how."""
    states = [entry.state() for entry in inputs]
    return "; ".join(f"{state.name}: {state.status}{f' ({state.detail})' if state.detail else ''}" for state in states)[:500]
