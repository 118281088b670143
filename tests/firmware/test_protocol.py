"""The serial protocol: C and Python write the same frames, find the same frames in any stream of bytes, and count the same damage."""

import contextlib
import ctypes
import os
import re
import shutil
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_kws.errors import BoardError
from edge_kws_boards.messages import Kind, read_message
from edge_kws_boards.protocol import BODY_BYTES, VERSION, Counts, Frame, Receiver, encode, next_sequence

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "firmware" / "app"
_FRAME_BYTES = 256
_COUNTS = ("frames", "corrupt", "too_long", "foreign", "lost")

bodies = st.one_of(
    st.binary(max_size=BODY_BYTES), st.integers(0, BODY_BYTES).map(bytes), st.integers(0, BODY_BYTES).map(lambda n: b"\xff" * n)
)
kinds, sequences = st.integers(0, 255), st.integers(0, 65535)


def compiler(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        assert "CI" not in os.environ, f"{name} is missing: `make test` installs it"
        pytest.skip(f"{name} is not installed")
    return path


class _ReceiverC(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint32) for name in _COUNTS),
        *((name, ctypes.c_uint8) for name in ("kind", "body_bytes", "skipping", "started")),
        ("sequence", ctypes.c_uint16),
        ("filled", ctypes.c_uint16),
        ("packet", ctypes.c_uint8 * _FRAME_BYTES),
    )


class C:
    """firmware/app/protocol.c on this machine."""

    def __init__(self, folder: Path) -> None:
        path = folder / "protocol.so"
        subprocess.run([compiler("cc"), "-std=c99", "-O2", "-shared", "-fPIC", str(APP / "protocol.c"), "-o", str(path)], check=True)
        self.library: Any = ctypes.CDLL(str(path))
        self.library.ekws_frame_encode.restype = ctypes.c_size_t
        self.library.ekws_crc32.restype = ctypes.c_uint32

    def encode(self, kind: int, sequence: int, body: bytes) -> bytes:
        frame = (ctypes.c_uint8 * _FRAME_BYTES)()
        size = self.library.ekws_frame_encode(frame, kind, sequence, body, ctypes.c_size_t(len(body)))
        return bytes(frame)[:size]

    def receive(self, data: bytes) -> tuple[list[Frame], Counts]:
        receiver, frames = _ReceiverC(), list[Frame]()
        self.library.ekws_receiver_init(ctypes.byref(receiver))
        for byte in data:
            if self.library.ekws_receiver_take(ctypes.byref(receiver), byte):
                frames.append(Frame(receiver.kind, receiver.sequence, bytes(receiver.packet)[4 : 4 + receiver.body_bytes]))
        return frames, Counts(*(getattr(receiver, name) for name in _COUNTS))


@pytest.fixture(scope="module")
def c(tmp_path_factory: pytest.TempPathFactory) -> C:
    return C(tmp_path_factory.mktemp("protocol"))


def _damaged(frame: bytes, at: int, by: int) -> bytes:
    at %= len(frame)
    return frame[:at] + bytes([frame[at] ^ by]) + frame[at + 1 :]


frames = st.builds(encode, kinds, sequences, bodies)
# What a line delivers: frames, damaged and cut ones, other bytes, and runs longer than any frame.
pieces = st.one_of(
    frames,
    st.builds(_damaged, frames, st.integers(0, 255), st.integers(1, 255)),
    st.builds(lambda frame, n: frame[:n], frames, st.integers(0, 255)),
    st.binary(max_size=300),
    st.integers(250, 600).map(lambda n: b"\x07" * n),
    st.just(b"\0"),
)
streams = st.lists(pieces, max_size=8).map(b"".join)


@given(kinds, sequences, bodies)
def test_both_write_the_same_frames(c: C, kind: int, sequence: int, body: bytes) -> None:
    frame = encode(kind, sequence, body)
    assert c.encode(kind, sequence, body) == frame
    assert frame.index(0) == len(frame) - 1 <= _FRAME_BYTES - 1
    assert Receiver().take(frame) == [Frame(kind, sequence, body)]


@given(streams, st.lists(st.integers(1, 400), max_size=6))
def test_both_find_the_same_in_any_stream_however_it_is_cut(c: C, stream: bytes, cuts: list[int]) -> None:
    expected, counts = c.receive(stream)
    receiver, found, at = Receiver(), list[Frame](), 0
    for cut in [*cuts, len(stream)]:
        found += receiver.take(stream[at : at + cut])
        at += cut
    found += receiver.take(stream[at:])
    assert found == expected
    assert receiver.counts == counts
    assert len(found) == counts.frames


@given(streams, kinds, bodies)
def test_a_frame_after_any_stream_arrives(stream: bytes, kind: int, body: bytes) -> None:
    receiver = Receiver()
    receiver.take(stream + b"\0")
    assert receiver.take(encode(kind, 7, body)) == [Frame(kind, 7, body)]


def test_damage_is_counted_by_its_kind(c: C) -> None:
    good = encode(Kind.LOG, 0, b"\0hello")
    other = bytearray(_unstuffed(good))
    other[0] = VERSION + 1
    foreign = _stuffed(bytes(other[:-4]) + zlib.crc32(other[:-4]).to_bytes(4, "little"))
    stream = good + _damaged(good, 5, 0x40) + b"\x01" * 1000 + b"\0" + foreign + b"\0\0\0" + b"\x02\x07\0" + encode(Kind.LOG, 4, b"\0")
    found, counts = c.receive(stream)
    receiver = Receiver()
    assert receiver.take(stream) == found
    assert receiver.counts == counts == Counts(frames=2, corrupt=2, too_long=1, foreign=1, lost=3)


def _unstuffed(frame: bytes) -> bytes:
    from cobs import cobs

    return cobs.decode(frame[:-1])


def _stuffed(packet: bytes) -> bytes:
    from cobs import cobs

    return cobs.encode(packet) + b"\0"


@pytest.mark.parametrize(
    ("numbers", "lost"),
    [((0, 1, 2), 0), ((5, 6, 9), 2), ((65534, 65535, 1), 0), ((65535, 3), 2), ((65534, 2), 2), ((9, 0, 1), 0), ((0, 65535), 65534)],
)
def test_missing_frames_are_counted(c: C, numbers: tuple[int, ...], lost: int) -> None:
    stream = b"".join(encode(Kind.LOG, number, b"") for number in numbers)
    receiver = Receiver()
    receiver.take(stream)
    assert receiver.counts.lost == c.receive(stream)[1].lost == lost
    assert [next_sequence(n) for n in (0, 1, 65534, 65535)] == [1, 2, 65535, 1]


@given(st.binary(max_size=600))
def test_crc_is_the_usual_one(c: C, data: bytes) -> None:
    assert c.library.ekws_crc32(data, ctypes.c_size_t(len(data))) == zlib.crc32(data)


def test_a_body_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 246 bytes, found 247"):
        encode(1, 0, bytes(BODY_BYTES + 1))


@given(kinds, bodies)
def test_any_body_is_a_message_or_an_error(kind: int, body: bytes) -> None:
    known = {known.value for known in Kind if known >= 0x80}
    with contextlib.suppress(BoardError):
        assert (read_message(kind, body) is not None) == (kind in known)


def _enumeration(header: str, prefix: str) -> dict[str, int]:
    text = (APP / header).read_text()
    return {m[1]: int(m[2], 0) for m in re.finditer(rf"^  EKWS_{prefix}(\w+) = (\w+),", text, re.MULTILINE)}


def test_numbers_are_those_of_the_firmware() -> None:
    assert _enumeration("protocol.h", "") == {kind.name: kind.value for kind in Kind}
    text = (APP / "protocol.h").read_text()
    assert f"#define EKWS_PROTOCOL_VERSION {VERSION}\n#define EKWS_BODY_BYTES {BODY_BYTES}\n" in text


@pytest.mark.slow
def test_fuzzing_the_codec_finds_nothing(tmp_path: Path) -> None:
    """LibFuzzer with ASan and UBSan: any stream is survived, what is found encodes back, and a frame behind it arrives."""
    binary = tmp_path / "fuzz"
    flags = ["-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=undefined", "-std=c99", f"-I{APP}"]
    sources = [Path(__file__).with_name("fuzz_protocol.c"), APP / "protocol.c"]
    built = subprocess.run([compiler("clang"), *flags, *map(str, sources), "-o", str(binary)], capture_output=True, text=True, check=False)
    if built.returncode != 0 and "CI" not in os.environ and "fuzzer" in built.stderr:
        pytest.skip("clang has no fuzzer runtime here (libclang-rt-dev)")
    assert built.returncode == 0, built.stderr
    run = [str(binary), "-runs=200000", "-seed=1", "-max_len=2048", f"-artifact_prefix={tmp_path}/"]
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
