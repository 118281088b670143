"""The Speech Commands adapter: official splits, partial copies, damaged copies; against the real lists where real data is at hand."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_kws.data.manifest import hash_split
from edge_kws.data.speech_commands import load_speech_commands, speaker_of
from edge_kws.errors import ConfigError

# Speakers of the official validation_list.txt and testing_list.txt, and of neither.
VALIDATION, TEST, TRAIN = "0d82fd99", "0ea0e2f4", "004ae714"


def real_data() -> Path:
    """The shared recordings, unpacked; skips where there are none."""
    root = Path(os.environ.get("EDGE_KWS_DATA") or Path.home() / ".cache/edge_kws/shared-data") / "speech_commands"
    if not root.is_dir():
        pytest.skip(f"no Speech Commands in {root}; set EDGE_KWS_DATA to a folder that holds speech_commands/")
    return root


def lay_out(root: Path, *files: str) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / name, np.zeros(160, np.int16), 16_000, subtype="PCM_16")
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    words = [f"{word}/{speaker}_nohash_0.wav" for word in ("yes", "no", "bed") for speaker in (VALIDATION, TEST, TRAIN)]
    return lay_out(tmp_path / "sc", *words, "_background_noise_/running_tap.wav", "_background_noise_/pink_noise.wav")


def test_splits_by_speaker_hash(root: Path) -> None:
    manifest = load_speech_commands(root).manifest
    assert {clip.speaker: clip.split for clip in manifest.clips} == {VALIDATION: "validation", TEST: "test", TRAIN: "train"}
    assert manifest.labels == ("bed", "no", "yes")
    assert {(clip.source, clip.license) for clip in manifest.clips} == {("Speech Commands v0.02", "CC-BY-4.0")}


def test_noise_is_listed_apart(root: Path) -> None:
    data = load_speech_commands(root)
    assert [path.name for path in data.noise] == ["pink_noise.wav", "running_tap.wav"]
    assert not any("noise" in clip.label for clip in data.manifest.clips)


def test_words_are_a_choice(root: Path) -> None:
    assert load_speech_commands(root, ["yes", "no"]).manifest.labels == ("no", "yes")
    with pytest.raises(ConfigError, match=r"expected a folder 'stop', found bed, no, yes"):
        load_speech_commands(root, ["yes", "stop"])


def test_speaker_is_what_stands_before_nohash() -> None:
    assert speaker_of("0d82fd99_nohash_12.wav") == VALIDATION
    assert speaker_of("odd.wav") == "odd.wav"


def test_lists_decide_and_the_hash_does_the_rest(root: Path) -> None:
    (root / "testing_list.txt").write_text(f"yes/{TRAIN}_nohash_0.wav\nno/{TRAIN}_nohash_0.wav\r\nno/not_in_this_copy_nohash_0.wav\n")
    lay_out(root, *(f"{word}/00f0204f_nohash_0.wav" for word in ("yes", "no")))
    splits = {clip.speaker: clip.split for clip in load_speech_commands(root, ["yes", "no"]).manifest.clips}
    assert splits == {VALIDATION: "validation", TEST: "test", TRAIN: "test", "00f0204f": hash_split("004ae714")}


def test_list_that_tears_a_speaker_apart_is_refused(root: Path) -> None:
    (root / "validation_list.txt").write_text(f"yes/{TRAIN}_nohash_0.wav\n")
    lay_out(root, "yes/00f0204f_nohash_0.wav")
    with pytest.raises(ConfigError, match=f"speaker '{TRAIN}'"):
        load_speech_commands(root)


def test_clip_in_both_lists_is_refused(root: Path) -> None:
    for name in ("validation_list.txt", "testing_list.txt"):
        (root / name).write_text(f"yes/{TEST}_nohash_0.wav\n")
    with pytest.raises(ConfigError, match=r"testing_list\.txt: yes/.* is in validation_list\.txt too"):
        load_speech_commands(root)


def test_damaged_copies(root: Path, tmp_path: Path) -> None:
    (root / "stop").mkdir()
    with pytest.raises(ConfigError, match=r"stop: expected recordings of 'stop', found an empty class"):
        load_speech_commands(root)
    load_speech_commands(root, ["yes"])
    (root / "yes" / f"{TRAIN}_nohash_0.wav").write_bytes(b"RIFF")
    with pytest.raises(ConfigError, match=rf"yes/{TRAIN}_nohash_0\.wav: expected an audio file"):
        load_speech_commands(root, ["yes"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="expected a folder a word"):
        load_speech_commands(tmp_path / "empty")
    with pytest.raises(ConfigError, match="expected a folder of Speech Commands, found nothing"):
        load_speech_commands(tmp_path / "absent")


def test_official_lists_agree_with_the_hash() -> None:
    root = real_data()
    for name, split in (("validation_list.txt", "validation"), ("testing_list.txt", "test")):
        listed = (root / name).read_text().split()
        assert listed
        assert {hash_split(speaker_of(Path(line).name)) for line in listed} == {split}


def test_real_copy_loads() -> None:
    data = load_speech_commands(real_data(), check_files=False)
    assert len(data.manifest.labels) == 35
    assert {row["train"] > 0 for row in data.manifest.counts().values()} == {True}
    assert len(data.noise) == 6
