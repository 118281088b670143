"""Files of every kind, good and bad."""

import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from edge_kws.audio import WavFile
from edge_kws.audio.truncation import _mp3_frame_bytes
from edge_kws.errors import AudioError

SPEECHLIKE = (np.random.default_rng(3).standard_normal(40_000) * 3000).astype(np.int16)


def read(path):
    source = WavFile(path)
    return np.concatenate(list(source.blocks())), source.description


@pytest.fixture
def wav(tmp_path):
    path = tmp_path / "speech.wav"
    soundfile.write(path, SPEECHLIKE, 16_000)
    return path


def patched(path, offset, data):
    content = bytearray(path.read_bytes())
    content[offset : offset + len(data)] = data
    path.write_bytes(content)
    return path


def expect_one_line(path, *words):
    with pytest.raises(AudioError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    for word in words:
        assert word in message


def test_16_khz_mono_int16_is_bit_exact(wav):
    pcm, description = read(wav)
    np.testing.assert_array_equal(pcm, SPEECHLIKE)
    assert description == f"{wav}: 16000 Hz, 1 channel, WAV PCM_16, 2.50 s"


@pytest.mark.parametrize(
    ("rate", "channels", "subtype"), [(8000, 1, "ULAW"), (44_100, 2, "PCM_16"), (96_000, 8, "PCM_24"), (192_000, 3, "FLOAT")]
)
def test_rates_channels_and_encodings(tmp_path, rate, channels, subtype):
    path = tmp_path / "tone.wav"
    tone = 0.4 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    soundfile.write(path, np.tile(tone[:, None], (1, channels)), rate, subtype=subtype)
    pcm, description = read(path)
    expected = 0.4 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert len(pcm) == 16_000
    assert np.abs(pcm / 32768 - expected)[200:-200].max() < (0.03 if subtype == "ULAW" else 0.0005)
    assert f"{rate} Hz, {channels} channel" in description


@pytest.mark.parametrize("name", ["x.flac", "x.aiff", "x.caf", "x.au", "x.w64", "x.rf64"])
def test_lossless_formats(tmp_path, name):
    soundfile.write(tmp_path / name, SPEECHLIKE, 16_000)
    np.testing.assert_array_equal(read(tmp_path / name)[0], SPEECHLIKE)


@pytest.mark.parametrize("name", ["x.ogg", "x.mp3"])
def test_lossy_formats_keep_length_and_position(tmp_path, name):
    burst = np.zeros(32_000)
    burst[12_000:20_000] = 0.2 * np.convolve(np.random.default_rng(5).standard_normal(8000), np.ones(8) / 8, "same")
    soundfile.write(tmp_path / name, burst, 16_000)
    pcm = read(tmp_path / name)[0]
    assert len(pcm) == len(burst)
    assert np.argmax(np.correlate(pcm.astype(np.float64), burst[12_000:20_000], "valid")) == 12_000


def test_a_written_length_of_unknown_is_read_to_the_end(wav):
    for size in (0xFFFF_FFFF, 0x8000_0000, 0x7FFF_FFFF):  # ffmpeg, arecord, sox writing to a pipe
        at = wav.read_bytes().index(b"data") + 4
        np.testing.assert_array_equal(read(patched(wav, at, struct.pack("<I", size)))[0], SPEECHLIKE)


def test_realtime_yields_the_same_blocks(tmp_path):
    path = tmp_path / "short.wav"
    soundfile.write(path, SPEECHLIKE[:4000], 16_000)
    blocks = list(WavFile(path, realtime=True).blocks())
    np.testing.assert_array_equal(np.concatenate(blocks), SPEECHLIKE[:4000])


def test_missing(tmp_path):
    expect_one_line(tmp_path / "missing.wav", "No such file")


def test_empty_file(tmp_path):
    (tmp_path / "x.wav").touch()
    expect_one_line(tmp_path / "x.wav", "empty")


def test_folder(tmp_path):
    expect_one_line(tmp_path, "folder")


@pytest.mark.parametrize("content", [b"this is not audio\n" * 50, b"RIFF", bytes(5000)])
def test_not_audio(tmp_path, content):
    (tmp_path / "x.wav").write_bytes(content)
    expect_one_line(tmp_path / "x.wav", "not an audio file", "expected WAV")


def test_no_channels(wav):
    expect_one_line(patched(wav, 22, struct.pack("<H", 0)), "Channel count is zero")


def test_no_frames(tmp_path):
    soundfile.write(tmp_path / "x.wav", np.zeros(0, np.int16), 16_000)
    expect_one_line(tmp_path / "x.wav", "0 frames")


@pytest.mark.parametrize("rate", [4000, 384_000])
def test_rate_out_of_range(tmp_path, rate):
    soundfile.write(tmp_path / "x.wav", np.zeros(1000, np.int16), rate)
    expect_one_line(tmp_path / "x.wav", f"{rate} Hz", "8000..192000")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(tmp_path, bad):
    pcm = np.zeros((30_000, 2), np.float32)
    pcm[23_456, 1] = bad
    soundfile.write(tmp_path / "x.wav", pcm, 48_000, subtype="FLOAT")
    expect_one_line(tmp_path / "x.wav", "sample 23456", "NaN or infinite")


def cut(path, kept):
    """Keeps that share of a file, or all but so many bytes where negative."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept) if kept > 0 else int(kept)])


@pytest.mark.parametrize("kept", [0.6, -1])
@pytest.mark.parametrize(
    "name", ["x.wav", "x.wavex", "x.rf64", "x.aiff", "x.au", "x.w64", "x.caf", "x.nist", "x.svx", "x.flac", "x.ogg", "x.opus", "x.mp3"]
)
def test_truncated(tmp_path, name, kept):
    path = tmp_path / name
    kind = {"svx": "SVX", "opus": "OGG", "nist": "NIST", "wavex": "WAVEX"}.get(name[2:])
    soundfile.write(path, SPEECHLIKE, 16_000, format=kind, subtype="OPUS" if name == "x.opus" else None)
    assert len(read(path)[0]) == len(SPEECHLIKE)
    cut(path, kept)
    expect_one_line(path)


@pytest.mark.parametrize("name", ["x.wav", "x.rf64", "x.aiff", "x.au", "x.w64", "x.nist", "x.caf"])
def test_truncation_tells_what_was_promised(tmp_path, name):
    path = tmp_path / name
    soundfile.write(path, SPEECHLIKE, 16_000)
    cut(path, -1001)
    expect_one_line(path, "truncated", "promises 80000 bytes of audio", "holds 7")


def test_truncated_mp3_without_a_length_in_its_header(tmp_path):
    path = tmp_path / "x.mp3"
    soundfile.write(path, SPEECHLIKE, 16_000, bitrate_mode="CONSTANT", compression_level=0.3)
    content = path.read_bytes()
    path.write_bytes(content[_mp3_frame_bytes(content[:4]) :])  # the first frame holds the length
    assert len(read(path)[0]) > 39_000
    cut(path, 0.6)
    expect_one_line(path, "truncated", "bytes of audio")


def test_an_mp3_that_libsndfile_would_read_in_part(tmp_path):
    path = tmp_path / "x.mp3"
    soundfile.write(path, SPEECHLIKE, 16_000, bitrate_mode="VARIABLE", compression_level=0.3)
    content = path.read_bytes()
    path.write_bytes(content[_mp3_frame_bytes(content[:4]) :])
    expect_one_line(path, "bit rate varies")


def test_an_mp3_between_tags_is_whole(tmp_path):
    path = tmp_path / "x.mp3"
    soundfile.write(path, SPEECHLIKE, 16_000)
    path.write_bytes(b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128) + path.read_bytes() + b"TAG" + bytes(125))
    assert len(read(path)[0]) == len(SPEECHLIKE)


def test_a_file_that_goes_on_after_its_audio_is_whole(tmp_path):
    for name in ("x.wav", "x.au", "x.w64", "x.ogg"):
        soundfile.write(tmp_path / name, SPEECHLIKE, 16_000)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + bytes(100))
        assert len(read(tmp_path / name)[0]) >= len(SPEECHLIKE), name


def test_truncated_by_one_byte_or_to_the_bare_header(wav):
    content = wav.read_bytes()
    wav.write_bytes(content[:-1])
    expect_one_line(wav, "promises 80000 bytes", "holds 79999")
    wav.write_bytes(content[:44])
    expect_one_line(wav, "promises 80000 bytes", "holds 0")


def test_damaged_flac_delivers_what_came_before(tmp_path):
    path = tmp_path / "x.flac"
    soundfile.write(path, SPEECHLIKE, 16_000)
    path.write_bytes(path.read_bytes()[:45_000])
    got = []
    with pytest.raises(AudioError, match="damaged at frame"):
        got.extend(WavFile(path).blocks())
    pcm = np.concatenate(got)
    assert len(pcm) > 4000
    np.testing.assert_array_equal(pcm, SPEECHLIKE[: len(pcm)])


def test_file_is_closed_when_the_reader_leaves_early(wav):
    source = WavFile(wav)
    blocks = source.blocks()
    next(blocks)
    blocks.close()
    wav.unlink()
    with pytest.raises(AudioError, match="No such file"):
        source.__enter__()


def test_memory_does_not_grow_with_the_file(tmp_path):
    """Four minutes of 96 kHz stereo, 180 MB as float32, in a process that may not grow by that much."""
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 96_000, 2, "PCM_U8") as file:
        for _ in range(240):
            file.write(np.zeros((96_000, 2), np.int16))
    code = (
        "import resource, sys; from edge_kws.audio import WavFile; import numpy, soundfile, soxr\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "n = sum(len(block) for block in WavFile(sys.argv[1]).blocks())\n"
        "print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    samples, grown = map(int, done.stdout.split())
    assert samples == 240 * 16_000
    assert grown < 40_000  # KiB
