"""Which recordings an evaluation folder holds, and what is said about a folder that is wrong."""

from pathlib import Path

import pytest

from edge_kws.errors import ConfigError
from edge_kws.evaluation.dataset import find_clips, find_wake_word_recordings

LABELS = ("_silence_", "_unknown_", "yes", "no")


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_clips_come_in_the_order_of_the_labels(tmp_path: Path) -> None:
    touch(tmp_path, "no/b.wav", "no/a.flac", "yes/speaker/c.wav", "_silence_/d.wav", "README.md", ".cache/x.wav")
    found = find_clips(tmp_path, LABELS)
    assert [(str(path.relative_to(tmp_path)), label) for path, label in found.clips] == [
        ("_silence_/d.wav", "_silence_"),
        ("yes/speaker/c.wav", "yes"),
        ("no/a.flac", "no"),
        ("no/b.wav", "no"),
    ]
    assert found.missing_labels == ("_unknown_",)


def test_text_beside_recordings_and_hidden_files_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "yes/a.wav", "yes/LICENSE.txt", "yes/list.csv", "yes/.DS_Store", "yes/.hidden/b.wav")
    assert [path.name for path, _ in find_clips(tmp_path, LABELS).clips] == ["a.wav"]


def test_a_linked_folder_is_followed_and_a_cycle_ends(tmp_path: Path) -> None:
    elsewhere = touch(tmp_path / "elsewhere", "a.wav")
    root = touch(tmp_path / "data", "yes/b.wav")
    (root / "yes" / "more").symlink_to(elsewhere)
    (root / "yes" / "again").symlink_to(root / "yes")
    assert sorted(path.name for path, _ in find_clips(root, LABELS).clips) == ["a.wav", "b.wav"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["yes/a.wav", "maybe/b.wav"],
            "folder 'maybe' is not a label of the pack; expected folders named '_silence_', '_unknown_', 'yes', 'no'",
        ),
        (["readme.wav"], "no label folder found"),
        (["yes/a.wav", "no/notes.txt"], "no: no recordings in it"),
    ],
)
def test_wrong_clip_folders_are_named(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_clips(touch(tmp_path, *names), LABELS)


@pytest.mark.parametrize("kind", ["nothing there", "a file"])
def test_data_that_is_no_folder(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "a file":
        path.touch()
    with pytest.raises(ConfigError, match=f"expected a folder of recordings, found {kind}"):
        find_clips(path, LABELS)


@pytest.mark.parametrize("name", ["positive", "marvin"])
def test_wake_word_folder_with_strata(tmp_path: Path, name: str) -> None:
    touch(tmp_path, f"{name}/a.wav", f"{name}/b/c.wav", "negative/read speech/d.wav", "negative/music/deep/e.ogg", "negative/f.wav")
    found = find_wake_word_recordings(tmp_path, "marvin")
    assert [path.name for path in found.positives] == ["a.wav", "c.wav"]
    assert {stratum: [path.name for path in paths] for stratum, paths in found.negatives.items()} == {
        "music": ["e.ogg"],
        "read speech": ["d.wav"],
        "unsorted": ["f.wav"],
    }


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["positive/a.wav"], "found 'positive'; expected 'positive' .or 'marvin'. with recordings of the word and 'negative'"),
        (["negative/a.wav"], "found 'negative'; expected 'positive'"),
        (["positive/a.wav", "marvin/b.wav", "negative/c.wav"], "found 'marvin', 'negative', 'positive'; expected"),
        (["positive/a.wav", "negative/c.wav", "music/d.wav"], "folder 'music' has no meaning here"),
        (["positive/a.wav", "negative/notes.txt"], "negative: empty"),
        (["positive/a.wav", "negative/music/notes.txt"], "music: no recordings in it"),
    ],
)
def test_wrong_wake_word_folders_are_named(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_wake_word_recordings(touch(tmp_path, *names), "marvin")
