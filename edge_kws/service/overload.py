"""Too slow? Then the least important pack is switched off first, and on again when there is room. The most important ones always run."""

from collections.abc import Callable, Mapping

from edge_kws.events import SAMPLE_RATE_HZ

_PERIOD_SAMPLES = 2 * SAMPLE_RATE_HZ  # what a load is measured over
_HIGH_LOAD, _LOW_LOAD = 0.9, 0.6
_HIGH_BACKLOG, _LOW_BACKLOG = SAMPLE_RATE_HZ // 2, SAMPLE_RATE_HZ // 10
_CALM_PERIODS = 5


class Overload:
    """Decides what an input can afford. Not thread-safe: belongs to the input's thread; other threads may read the attributes.

    Args:
        priorities: pack name to priority; those of the highest are never shed.

    Attributes:
        load: seconds of work for a second of audio, over the last two seconds of audio.
        shed: names of the packs switched off, the first one first.
    """

    def __init__(self, priorities: Mapping[str, int]) -> None:
        highest = max(priorities.values())
        # Of equal priority, the one named last in the config goes first.
        backwards = list(priorities)[::-1]
        order = sorted(backwards, key=lambda name: priorities[name])
        self._sheddable = [name for name in order if priorities[name] < highest]
        self._names = tuple(priorities)
        self.load = 0.0
        self.shed: tuple[str, ...] = ()
        self._busy_s = 0.0
        self._samples = 0
        self._calm = 0
        self._cpu = dict.fromkeys(priorities, 0.0)
        self._loads = dict.fromkeys(priorities, 0.0)  # of a pack that is off: what it cost when it was on

    def pack_load(self, pack: str) -> float:
        """Share of one core that a pack takes; 0 while it is off."""
        return 0.0 if pack in self.shed else self._loads[pack]

    def step(self, busy_s: float, samples: int, backlog: int, cpu_s: Callable[[str], float]) -> list[tuple[str, bool]]:
        """Takes note of a block; returns the packs to pause (True) or resume (False).

        Args:
            busy_s: how long it took.
            samples: its length.
            backlog: samples that wait already.
            cpu_s: processor time a pack has taken in all.
        """
        self._busy_s += busy_s
        self._samples += samples
        if self._samples < _PERIOD_SAMPLES:
            return []
        seconds = self._samples / SAMPLE_RATE_HZ
        self.load = self._busy_s / seconds
        for name in self._names:
            total = cpu_s(name)
            if name not in self.shed:
                self._loads[name] = (total - self._cpu[name]) / seconds
            self._cpu[name] = total
        self._busy_s, self._samples = 0.0, 0
        return self._decide(backlog)

    def _decide(self, backlog: int) -> list[tuple[str, bool]]:
        if self.load > _HIGH_LOAD or backlog > _HIGH_BACKLOG:
            self._calm = 0
            left = [name for name in self._sheddable if name not in self.shed]
            if left:
                self.shed = (*self.shed, left[0])
                return [(left[0], True)]
            return []
        if not self.shed:
            return []
        last = self.shed[-1]
        self._calm = self._calm + 1 if self.load + self._loads[last] < _LOW_LOAD and backlog < _LOW_BACKLOG else 0
        if self._calm < _CALM_PERIODS:
            return []
        self._calm = 0
        self.shed = self.shed[:-1]
        return [(last, False)]
