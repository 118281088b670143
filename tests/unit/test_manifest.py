"""Manifests: fixed order, and the data sets they refuse."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_kws.data.manifest import Clip, Manifest, Split, hash_split
from edge_kws.errors import ConfigError


def clip(path: str, label: str = "yes", speaker: str = "anna", split: Split = "train", source: str = "mine") -> Clip:
    return Clip(Path(path), label, speaker, split, source, "CC0-1.0")


def write_wav(path: Path, samples: int = 1600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(samples, np.int16), 16_000, subtype="PCM_16")
    return path


def test_order_is_label_then_path_whatever_comes_in() -> None:
    clips = [clip("b/1.wav", "no"), clip("a/2.wav"), clip("a/1.wav")]
    assert Manifest(clips) == Manifest(reversed(clips))
    assert [c.path.as_posix() for c in Manifest(clips).clips] == ["b/1.wav", "a/1.wav", "a/2.wav"]


def test_counts_splits_and_summary() -> None:
    manifest = Manifest([clip("1.wav"), clip("2.wav", "no"), clip("3.wav", "no", "bob", "test")])
    assert manifest.labels == ("no", "yes")
    assert manifest.counts() == {
        "no": {"train": 1, "validation": 0, "test": 1},
        "yes": {"train": 1, "validation": 0, "test": 0},
    }
    assert [c.speaker for c in manifest.split("test")] == ["bob"]
    rows = [line.split() for line in manifest.summary().splitlines()]
    assert rows == [
        ["train", "validation", "test"],
        ["no", "1", "0", "1"],
        ["yes", "1", "0", "0"],
        ["all", "2", "0", "1"],
        ["speakers", "1", "0", "1"],
    ]


def test_nothing_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="without a single clip"):
        Manifest([])


def test_class_without_training_clips_is_named() -> None:
    with pytest.raises(
        ConfigError, match=r"class 'no': expected at least one clip in train, found none \(validation 1, test 0, 1 speakers\)"
    ):
        Manifest([clip("1.wav"), clip("2.wav", "no", "bob", "validation")])
    with pytest.raises(ConfigError, match="class 'stop'"):
        Manifest([clip("1.wav")], classes=["yes", "stop"])
    with pytest.raises(ConfigError, match="class 'stop'"):
        Manifest([], classes=["stop"])


def test_speaker_in_two_splits_is_named_with_both() -> None:
    clips = [clip("1.wav"), clip("2.wav"), clip("3.wav", "yes", "anna", "test"), clip("4.wav", "yes", "bob")]
    with pytest.raises(ConfigError) as error:
        Manifest(clips)
    for part in ("'anna'", "train (2 clips", "test (1 clips", "more than one split: 1"):
        assert part in str(error.value)
    assert "bob" not in str(error.value)


def test_one_speaker_name_in_two_sources_is_two_speakers() -> None:
    Manifest([clip("1.wav", speaker="0"), clip("2.wav", speaker="0", split="test", source="theirs")])


def test_file_listed_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"1\.wav: listed 2 times \(as no, yes\)"):
        Manifest([clip("1.wav"), clip("1.wav", "no")])


def test_durations_come_in_order(tmp_path: Path) -> None:
    paths = [write_wav(tmp_path / f"{n}.wav", n * 1600) for n in (3, 1, 2)]
    assert Manifest([clip(str(path)) for path in paths]).check_files() == pytest.approx([0.1, 0.2, 0.3])


def _truncated(path: Path) -> None:
    path.write_bytes(write_wav(path, 16_000).read_bytes()[:9000])


def _header_only(path: Path) -> None:
    path.write_bytes(write_wav(path).read_bytes()[:44])


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda path: path.write_bytes(b""), "an empty file"),
        (lambda path: path.write_bytes(b"no audio at all" * 9), "135 bytes that libsndfile refuses"),
        (_header_only, "no samples"),
        (_truncated, "a truncated one"),
        (lambda path: path.unlink(), "no file"),
    ],
)
def test_unreadable_file_is_named(tmp_path: Path, spoil, found: str) -> None:
    paths = [write_wav(tmp_path / f"{n}.wav") for n in range(5)]
    spoil(paths[3])
    with pytest.raises(ConfigError) as error:
        Manifest([clip(str(path)) for path in paths]).check_files()
    assert str(paths[3]) in str(error.value)
    assert found in str(error.value)


def test_wav_of_undeclared_length_is_whole(tmp_path: Path) -> None:
    header = bytearray(write_wav(tmp_path / "pipe.wav").read_bytes())
    header[4:8] = header[40:44] = b"\xff\xff\xff\xff"  # what ffmpeg writes into a pipe
    (tmp_path / "pipe.wav").write_bytes(header)
    assert Manifest([clip(str(tmp_path / "pipe.wav"))]).check_files() == pytest.approx([0.1])


def test_hash_split_keeps_its_proportions() -> None:
    splits = [hash_split(str(n)) for n in range(10_000)]
    assert 0.08 < splits.count("validation") / 10_000 < 0.12
    assert 0.08 < splits.count("test") / 10_000 < 0.12
    assert hash_split("anyone", 100.1) == "validation"
    assert hash_split("anyone", 0, 0) == "train"
