"""Which commit of this repository trained which epochs: kept with the checkpoint, because a later commit may go on with it or export it."""

import json
import subprocess
from pathlib import Path
from typing import Any

from edge_kws.pack import TrainingSpan

UNKNOWN_COMMIT = "unknown"
_PROGRESS = "progress.json"


def commit_at_hand() -> str:
    """The checkout that runs, as `git describe --always --dirty` names it; `UNKNOWN_COMMIT` outside one."""
    command = ["git", "-C", str(Path(__file__).resolve().parents[2]), "describe", "--always", "--dirty"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        found = ""
    return found or UNKNOWN_COMMIT


def continued(spans: list[TrainingSpan], commit: str, epochs: int) -> list[TrainingSpan]:
    """The spans once `epochs` epochs are done, those that no span counts yet by `commit`."""
    new = epochs - sum(span.epochs for span in spans)
    if new <= 0:
        return spans
    if spans and spans[-1].commit == commit:
        return [*spans[:-1], TrainingSpan(commit=commit, epochs=spans[-1].epochs + new)]
    return [*spans, TrainingSpan(commit=commit, epochs=new)]


def write_progress(folder: Path, epochs: int, recipe: str, spans: list[TrainingSpan]) -> None:
    """Says what the checkpoint beside it holds; appears whole or not at all."""
    part = folder / f"{_PROGRESS}.part"
    part.write_text(json.dumps({"epochs_done": epochs, "recipe": recipe, "trained": [span.model_dump() for span in spans]}))
    part.replace(folder / _PROGRESS)


def read_progress(folder: Path) -> tuple[int, str, list[TrainingSpan]] | None:
    """Epochs done, recipe and spans of a checkpoint, or None. Epochs from before spans were kept are of no known commit."""
    path = folder / _PROGRESS
    if not path.exists():
        return None
    progress: dict[str, Any] = json.loads(path.read_text())
    epochs = int(progress["epochs_done"])
    spans = [TrainingSpan(**span) for span in progress.get("trained", [])]
    return epochs, progress["recipe"], continued(spans, UNKNOWN_COMMIT, epochs)
