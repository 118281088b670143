"""What the store gives back, and where a labelled clip belongs."""

from dataclasses import dataclass
from typing import Any, Literal

from edge_kws.service.clips import drawer
from edge_kws.service.records import Heard

Verdict = Literal["false_wake", "correct"]
_NEGATIVE = "_unknown_"


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it is kept: `verdict` is what a person said of it, `has_clip` whether its audio is on disk."""

    event: Heard
    verdict: str | None
    has_clip: bool

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types: the event's own keys, `verdict` and `has_clip`."""
        return {**self.event.to_json(), "verdict": self.verdict, "has_clip": self.has_clip}


@dataclass(frozen=True, slots=True)
class Label:
    """What a person said: an event was `false_wake` or `correct`, or something was `missed` (then `event` is None)."""

    id: int
    event: int | None
    time: float
    input: str
    pack: str
    label: str
    verdict: str


def label_drawer(label: Label) -> str:
    """The folder of a label's clip: what was no such word is an example of `_unknown_`."""
    return drawer(label.pack, _NEGATIVE if label.verdict == "false_wake" else label.label)
