"""Folders of one's own: label folders, and long recordings without labels."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_kws.data.label_folders import load_label_folders
from edge_kws.data.long_recordings import load_recordings
from edge_kws.data.manifest import hash_split
from edge_kws.errors import ConfigError


def lay_out(root: Path, *files: str) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / name, np.zeros(2205, np.float32), 22_050)
    return root


def test_any_audio_file_any_depth_of_junk(tmp_path: Path) -> None:
    root = lay_out(tmp_path / "mine", "on/a.wav", "on/b.flac", "on/c.ogg", "off/b.WAV", "_silence_/room.wav", "_background_noise_/rain.wav")
    for junk in ("on/notes.txt", "on/._a.wav", ".DS_Store"):
        (root / junk).write_text("junk")
    (root / ".cache").mkdir()
    manifest = load_label_folders(root, license="CC0-1.0")
    assert [clip.path.relative_to(root).as_posix() for clip in manifest.clips] == [
        "_silence_/room.wav",
        "off/b.WAV",
        "on/a.wav",
        "on/b.flac",
        "on/c.ogg",
    ]
    assert {(clip.source, clip.license) for clip in manifest.clips} == {("mine", "CC0-1.0")}
    assert len({clip.speaker for clip in manifest.clips}) == 5, "each file a speaker of its own"


def test_speaker_from_the_name_decides_the_split(tmp_path: Path) -> None:
    names = [f"on/{who}_{n}.wav" for who in ("anna", "bob", "carl", "dora") for n in range(2)]
    manifest = load_label_folders(lay_out(tmp_path, *names, "on/77_nohash_0.wav"))
    assert {clip.speaker for clip in manifest.clips} == {"anna", "bob", "carl", "dora", "77"}
    assert all(clip.split == hash_split(clip.speaker) for clip in manifest.clips)


def test_speaker_pattern_in_file_name_or_path(tmp_path: Path) -> None:
    root = lay_out(tmp_path, "on/take3-p07.wav", "on/take4-p07.wav", "on/take3-p08.wav")
    assert sorted(clip.speaker for clip in load_label_folders(root, speaker_pattern=r"-(p\d+)\.").clips) == ["p07", "p07", "p08"]
    assert {clip.speaker for clip in load_label_folders(root, speaker_pattern=r"^(?:.*)/(?P<speaker>take\d)").clips} == {"take3", "take4"}


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("p(", "not a regular expression"), (r"p\d", "has no group"), (r"(q\d+)", "expected a speaker where the pattern")],
)
def test_bad_speaker_pattern(tmp_path: Path, pattern: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_label_folders(lay_out(tmp_path, "on/p07.wav"), speaker_pattern=pattern)


def test_split_folders_stand_as_they_are(tmp_path: Path) -> None:
    root = lay_out(tmp_path, "train/on/1.wav", "train/off/1.wav", "validation/on/1.wav", "test/off/1.wav")
    found = {(clip.path.relative_to(root).as_posix(), clip.label): clip.split for clip in load_label_folders(root).clips}
    assert found == {
        ("train/on/1.wav", "on"): "train",
        ("train/off/1.wav", "off"): "train",
        ("validation/on/1.wav", "on"): "validation",
        ("test/off/1.wav", "off"): "test",
    }


def test_split_folders_with_one_speaker_in_two(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"speaker 'anna'.*train \(1 clips.*test \(1 clips"):
        load_label_folders(lay_out(tmp_path, "train/on/anna_1.wav", "validation/on/bob_1.wav", "test/on/anna_2.wav"))


def test_split_folders_incomplete(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found no validation/"):
        load_label_folders(lay_out(tmp_path, "train/on/1.wav", "test/on/2.wav"))


def test_a_label_may_be_called_train(tmp_path: Path) -> None:
    assert load_label_folders(lay_out(tmp_path, "train/1.wav", "bus/2.wav")).labels == ("bus", "train")


def test_empty_class_is_named(tmp_path: Path) -> None:
    root = lay_out(tmp_path, "on/1.wav")
    (root / "off").mkdir()
    with pytest.raises(ConfigError, match=r"off: expected audio of class 'off' .*, found an empty folder"):
        load_label_folders(root)
    (root / "off" / "notes.txt").write_text("later")
    with pytest.raises(ConfigError, match=r"found only \.txt"):
        load_label_folders(root)


def test_class_whose_speakers_all_fell_elsewhere_is_named(tmp_path: Path) -> None:
    held_out = next(str(n) for n in range(1000) if hash_split(str(n)) == "test")
    with pytest.raises(ConfigError, match="class 'off': expected at least one clip in train"):
        load_label_folders(lay_out(tmp_path, "on/1.wav", f"off/{held_out}_1.wav"))


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    root = lay_out(tmp_path, "on/1.wav", "on/2.wav")
    (root / "on" / "2.wav").write_bytes(b"not audio")
    with pytest.raises(ConfigError, match=r"on/2\.wav: expected an audio file"):
        load_label_folders(root)
    load_label_folders(root, check_files=False)
    (root / "on" / "phone.m4a").write_bytes(b"ftyp")
    with pytest.raises(ConfigError, match=r"phone\.m4a: cannot read \.m4a audio; convert"):
        load_label_folders(root)


@pytest.mark.parametrize("name", ["absent", "file"])
def test_not_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    for load in (load_label_folders, load_recordings):
        with pytest.raises(ConfigError, match="expected a folder of"):
            load(tmp_path / name)


def test_folder_without_label_folders(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a folder a label, found none"):
        load_label_folders(lay_out(tmp_path, "1.wav"))


def test_recordings_of_a_group_stay_together(tmp_path: Path) -> None:
    root = lay_out(tmp_path / "libri", *(f"{speaker}/{speaker}-7-{n}.flac" for speaker in range(100, 130) for n in range(2)))
    recordings = load_recordings(root, r"^(\d+)-", license="CC-BY-4.0")
    assert [r.path for r in recordings] == sorted(r.path for r in recordings)
    assert {r.group for r in recordings} == {str(n) for n in range(100, 130)}
    assert all(r.split == hash_split(r.group) for r in recordings)
    assert {(r.source, r.license, r.duration_s) for r in recordings} == {("libri", "CC-BY-4.0", 0.1)}


def test_recordings_with_splits_of_their_own(tmp_path: Path) -> None:
    root = lay_out(tmp_path, "001 - Dog bark/1-100032-A.wav", "001 - Dog bark/4-1-A.wav")
    assert [r.split for r in load_recordings(root, r"^(\d)-", splits={"1": "train", "4": "test"})] == ["train", "test"]
    with pytest.raises(ConfigError, match="group '4' has no split"):
        load_recordings(root, r"^(\d)-", splits={"1": "train"})


def test_recordings_without_a_pattern_stand_alone(tmp_path: Path) -> None:
    assert [r.group for r in load_recordings(lay_out(tmp_path, "a/1.wav", "b/1.wav"))] == ["a/1.wav", "b/1.wav"]


def test_no_recordings(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found no audio file"):
        load_recordings(tmp_path)
