"""Whether a file ends before the audio its own header promises; libsndfile reads such files as shorter audio without a word."""

import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_UNKNOWN_LENGTH = 0x7FFF_0000  # programs that write to a pipe put a 32-bit size from here on into the header
_W64_DATA = b"data" + bytes.fromhex("f3acd3118cd100c04f8edb8a")
_W64_CHUNK_HEADER_BYTES = 24
_OGG_LONGEST_PAGE_BYTES = 27 + 255 + 255 * 255
_OGG_LAST_PAGE = 4
_MP3_SEARCH_BYTES = 64 * 1024
_MP3_LAYER_3_KBPS = (
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG 2 and 2.5
    (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG 1
)
_MP3_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def missing_part(path: Path) -> str | None:
    """What a truncated file lacks, as a clause for an error message; None for whole files and for formats that promise no length.

    Raises:
        OSError: the file cannot be read.
    """
    file_bytes = path.stat().st_size
    with path.open("rb") as stream:
        magic = stream.read(4)
        stream.seek(0)
        for magics, promise in _FORMATS:
            if magic in magics:
                return _clause(*promise(stream, file_bytes))
        if magic == b"OggS":
            return None if _ogg_ends(stream, file_bytes) else "the Ogg stream has no end mark"
        return _mp3(stream, file_bytes)


def _clause(declared: int, found: int) -> str | None:
    return None if found >= declared else f"the header promises {declared} bytes of audio, the file holds {max(0, found)}"


def _iff(stream: BinaryIO, file_bytes: int) -> tuple[int, int]:
    """RIFF, RIFX, RF64 and AIFF: (bytes promised, bytes there) of the chunk that holds the audio."""
    magic = stream.read(12)[:4]
    order = "<" if magic in (b"RIFF", b"RF64") else ">"
    size_64 = 0
    while len(header := stream.read(8)) == 8:
        name, size = header[:4], struct.unpack(order + "I", header[4:])[0]
        body = stream.tell()
        if name == b"ds64" and len(sizes := stream.read(16)) == 16:
            size_64 = struct.unpack("<Q", sizes[8:])[0]
        if name in (b"data", b"SSND", b"BODY"):
            # an AIFF sound chunk begins with 8 bytes of offset and block size
            start = body + (8 if name == b"SSND" else 0)
            if magic == b"RF64" and size == 0xFFFF_FFFF:
                return size_64, file_bytes - start
            return _known(size - (start - body)), file_bytes - start
        stream.seek(body + size + (size & 1))
    return 0, 0


def _known(size: int) -> int:
    return size if size < _UNKNOWN_LENGTH else 0


def _au(stream: BinaryIO, file_bytes: int) -> tuple[int, int]:
    header = stream.read(12)
    if len(header) < 12:
        return 0, 0
    start, size = struct.unpack(">II" if header[:4] == b".snd" else "<II", header[4:])
    return _known(size), file_bytes - start


def _caf(stream: BinaryIO, file_bytes: int) -> tuple[int, int]:
    stream.seek(8)
    while len(header := stream.read(12)) == 12:
        name, size = header[:4], struct.unpack(">q", header[4:])[0]
        body = stream.tell()
        if name == b"data":  # begins with an edit count of 4 bytes; -1: to the end of the file
            return max(0, size - 4), file_bytes - body - 4
        if size < 0:
            break
        stream.seek(body + size)
    return 0, 0


def _w64(stream: BinaryIO, file_bytes: int) -> tuple[int, int]:
    stream.seek(_W64_CHUNK_HEADER_BYTES + 16)  # past the form type
    while len(header := stream.read(_W64_CHUNK_HEADER_BYTES)) == _W64_CHUNK_HEADER_BYTES:
        size = struct.unpack("<Q", header[16:])[0]  # the header counts
        body = stream.tell()
        if header[:16] == _W64_DATA:
            declared = size - _W64_CHUNK_HEADER_BYTES
            return (declared if 0 <= declared < 1 << 62 else 0), file_bytes - body
        if size < _W64_CHUNK_HEADER_BYTES or size >= 1 << 62:
            break
        stream.seek(body + (size - _W64_CHUNK_HEADER_BYTES + 7 & ~7))
    return 0, 0


def _nist(stream: BinaryIO, file_bytes: int) -> tuple[int, int]:
    """NIST SPHERE: a text header of fields such as `sample_count -i 40000`."""
    text = stream.read(1024).decode("latin-1")
    fields = {key: int(value) for key, value in re.findall(r"^(\w+) -i (\d+)", text, re.MULTILINE)}
    size = re.match(r"NIST_1A\s+(\d+)", text)
    if size is None or "shorten" in text:
        return 0, 0
    promised = fields.get("sample_count", 0) * fields.get("sample_n_bytes", 0) * fields.get("channel_count", 1)
    return promised, file_bytes - int(size[1])


_Promise = Callable[[BinaryIO, int], tuple[int, int]]
_FORMATS: tuple[tuple[tuple[bytes, ...], _Promise], ...] = (
    ((b"RIFF", b"RIFX", b"RF64", b"FORM"), _iff),
    ((b".snd", b"dns."), _au),
    ((b"riff",), _w64),
    ((b"caff",), _caf),
    ((b"NIST",), _nist),
)


def _ogg_ends(stream: BinaryIO, file_bytes: int) -> bool:
    """Whether the file ends with a whole page that is marked as the stream's last."""
    stream.seek(max(0, file_bytes - 2 * _OGG_LONGEST_PAGE_BYTES))
    tail = stream.read()
    at = tail.rfind(b"OggS")
    while at >= 0:
        page = tail[at:]
        lengths = page[27 : 27 + page[26]] if len(page) > 26 else b""
        if lengths and page[5] & _OGG_LAST_PAGE and len(page) >= 27 + len(lengths) + sum(lengths):
            return True
        at = tail.rfind(b"OggS", 0, at)
    return False


def _mp3(stream: BinaryIO, file_bytes: int) -> str | None:
    """MPEG layer 3: as `missing_part`, by what a Xing, Info or VBRI header promises, else by the end of the last frame."""
    head = stream.read(10)
    first = 0
    if head[:3] == b"ID3" and len(head) == 10:
        first = 10 + sum((byte & 0x7F) << 7 * (3 - i) for i, byte in enumerate(head[6:10]))
    stream.seek(first)
    frame = stream.read(_MP3_SEARCH_BYTES)
    skipped = next((i for i in range(len(frame) - 3) if _mp3_begins(frame, i)), None)
    if skipped is None:
        return None
    first, frame = first + skipped, frame[skipped:]
    found = file_bytes - first
    declared = _mp3_declared_bytes(frame[: _mp3_frame_bytes(frame[:4])])
    if declared is None:
        declared, rates = 0, set[int]()
        stream.seek(first)
        while length := _mp3_frame_bytes(header := stream.read(4)):
            declared += length
            rates.add(header[2] >> 4)
            stream.seek(first + declared)
        if len(rates) > 1:  # libsndfile takes the first frame's bit rate for all and stops early
            return "the bit rate varies and no header promises the length, so that only part of it can be read"
    return _clause(declared, found)


def _mp3_begins(data: bytes, at: int) -> bool:
    """Whether two frames in a row begin here: one header alone occurs by chance in any data."""
    length = _mp3_frame_bytes(data[at : at + 4])
    return length > 0 and _mp3_frame_bytes(data[at + length : at + length + 4]) > 0


def _mp3_declared_bytes(frame: bytes) -> int | None:
    """The length that the first frame declares in place of sound; None where it does not."""
    at = next((i for mark in (b"Xing", b"Info") if 0 <= (i := frame.find(mark)) <= 36), -1)
    if at >= 0 and frame[at + 7] & 2:
        at += 12 if frame[at + 7] & 1 else 8
        return int.from_bytes(frame[at : at + 4], "big")
    return int.from_bytes(frame[46:50], "big") if frame[36:40] == b"VBRI" else None


def _mp3_frame_bytes(header: bytes) -> int:
    """Length of the frame that begins so; 0 where none does."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version, kbps_index, rate_index = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or not 1 <= kbps_index <= 14 or rate_index == 3:
        return 0
    kbps = _MP3_LAYER_3_KBPS[version == 3][kbps_index - 1]
    return (144 if version == 3 else 72) * kbps * 1000 // _MP3_RATES_HZ[version][rate_index] + (header[2] >> 1 & 1)
