"""Which commits trained a model: kept with the checkpoint, told by the pack; packs from before it stay what they were."""

import json
from pathlib import Path

import pytest

from edge_kws.pack import Pack, TrainingSpan
from edge_kws.pack_archive import split_archive
from edge_kws.resources import shipped_packs
from edge_kws.training.history import UNKNOWN_COMMIT, commit_at_hand, continued, read_progress, write_progress
from tests.golden.tiny_model import tiny_pack


def _spans(*pairs: tuple[str, int]) -> list[TrainingSpan]:
    return [TrainingSpan(commit=commit, epochs=epochs) for commit, epochs in pairs]


def test_epochs_belong_to_the_commit_that_trained_them() -> None:
    spans = continued([], "a", 1)
    for epochs in (2, 3):
        spans = continued(spans, "a", epochs)
    assert spans == _spans(("a", 3))
    spans = continued(spans, "b", 5)
    assert spans == _spans(("a", 3), ("b", 2))
    assert continued(spans, "c", 5) == spans, "who only exports trained nothing"
    assert continued(spans, "a", 6) == _spans(("a", 3), ("b", 2), ("a", 1))


def test_progress_keeps_them(tmp_path: Path) -> None:
    assert read_progress(tmp_path) is None
    write_progress(tmp_path, 5, "recipe", _spans(("a", 3), ("b", 2)))
    assert read_progress(tmp_path) == (5, "recipe", _spans(("a", 3), ("b", 2)))
    assert [path.name for path in tmp_path.iterdir()] == ["progress.json"]


def test_epochs_of_an_older_checkpoint_are_of_no_known_commit(tmp_path: Path) -> None:
    (tmp_path / "progress.json").write_text(json.dumps({"epochs_done": 7, "recipe": "r"}))
    assert read_progress(tmp_path) == (7, "r", _spans((UNKNOWN_COMMIT, 7)))


def test_the_commit_at_hand_is_a_line() -> None:
    assert commit_at_hand()
    assert commit_at_hand().isprintable()


def test_a_pack_tells_them() -> None:
    plain = tiny_pack().info.provenance
    told = plain.model_copy(update={"training": _spans(("a", 3), ("b", 2))})
    pack = tiny_pack(provenance=told)
    again = Pack.read(pack.to_bytes())
    assert again.info.provenance.training == _spans(("a", 3), ("b", 2))
    assert again.info.provenance.commit == plain.commit


@pytest.mark.parametrize("name", sorted(shipped_packs()))
def test_older_packs_keep_their_bytes(name: str) -> None:
    path = shipped_packs()[name]
    stored = split_archive(path.read_bytes())[1]["edge_kws.json"]
    assert ("training" in json.loads(stored)["provenance"]) == bool(Pack.load(path).info.provenance.training)
    assert Pack.load(path).info.canonical_json() == stored
