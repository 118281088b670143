"""The archive half of a pack: the zip that stands after the flatbuffer, and the golden vectors in it.

The reader takes one plain form and no other: a contiguous zip without comments, extra fields, encryption, zip64 or data descriptors,
its members stored uncompressed (the TFLite convention demands it). Every size is checked before a byte is copied or inflated.
Python's zipfile, MediaPipe and every other zip reader open the same archive.
"""

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edge_kws.errors import PackError

MAX_MEMBER_BYTES = 4 * 1024 * 1024
MAX_MEMBERS = 16

_END = struct.Struct("<4s4H2LH")  # signature, disk, disk, members here, members, directory size, directory offset, comment length
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same members always give the same bytes
_NPY_HEADER = re.compile(rb"\{'descr': '\|i1', 'fortran_order': False, 'shape': \((\d{1,7}(?:, \d{1,7}){0,3}),?\), \} *\n")


def append_archive(flatbuffer: bytes, members: Mapping[str, bytes]) -> bytes:
    """The flatbuffer with an uncompressed zip of `members` after it, offsets counted from the file's start."""
    return _zip(flatbuffer, members, zipfile.ZIP_STORED)


def split_archive(data: bytes) -> tuple[bytes, dict[str, bytes]]:
    """Takes a pack file apart into (flatbuffer, members by name); raises PackError unless the zip has the one plain form."""
    return _read_zip(data, methods=(zipfile.ZIP_STORED,))


def write_golden(arrays: Mapping[str, NDArray[np.int8]]) -> bytes:
    """int8 arrays as a compressed `.npz` that `numpy.load` reads."""
    members: dict[str, bytes] = {}
    for name, array in arrays.items():
        stream = io.BytesIO()
        np.lib.format.write_array(stream, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
        members[f"{name}.npy"] = stream.getvalue()
    return _zip(b"", members, zipfile.ZIP_DEFLATED)


def read_golden(data: bytes) -> dict[str, NDArray[np.int8]]:
    """The int8 arrays of `write_golden`; nothing is unpickled and no header is trusted with a size."""
    start, members = _read_zip(data, methods=(zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    if start:
        raise _refused("golden.npz", "a zip from its first byte", f"{len(start)} other bytes before it")
    return {name.removesuffix(".npy"): _read_npy(name, member) for name, member in members.items()}


def _zip(start: bytes, members: Mapping[str, bytes], method: int) -> bytes:
    stream = io.BytesIO(start)
    with zipfile.ZipFile(stream, "a") as archive:
        for name, payload in members.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = method
            info.external_attr = 0o644 << 16
            archive.writestr(info, payload)
    return stream.getvalue()


def _read_npy(name: str, data: bytes) -> NDArray[np.int8]:
    if data[:8] != b"\x93NUMPY\x01\x00" or len(data) < 10:
        raise _refused(name, "a version 1.0 .npy array", repr(data[:8]))
    end = 10 + int.from_bytes(data[8:10], "little")
    header = _NPY_HEADER.fullmatch(data[10:end])
    if header is None:
        raise _refused(name, "a C-ordered int8 array", repr(data[10:end])[:80])
    shape = tuple(int(size) for size in header[1].split(b","))
    count = 1
    for size in shape:
        count *= size
    if count != len(data) - end:
        raise _refused(name, f"{count} bytes for shape {shape}", f"{len(data) - end}")
    return np.frombuffer(data, np.int8, offset=end).reshape(shape)


def _read_zip(data: bytes, *, methods: tuple[int, ...]) -> tuple[bytes, dict[str, bytes]]:
    """Walks the central directory backwards from the file's last byte; returns what stands before the zip, and the members."""
    end = len(data) - _END.size
    if end < 0 or data[end : end + 4] != b"PK\5\6":
        raise _refused("end of file", "the end of an appended zip", "no zip (a plain model, or a truncated file)")
    _, disk, first_disk, here, count, size, offset, comment = _END.unpack_from(data, end)
    if disk or first_disk or comment or here != count or not 1 <= count <= MAX_MEMBERS or size > end:
        raise _refused("zip directory", f"1..{MAX_MEMBERS} members on one disk", f"{count} members, {size} directory bytes")
    position, expected_local = end - size, None
    if offset != position:
        raise _refused("zip directory", f"offset {position}", f"{offset}")
    members: dict[str, bytes] = {}
    start = 0
    for _ in range(count):
        name, payload, local, next_local, position = _read_member(data, position, end, methods)
        if name in members:
            raise _refused("zip", "each member once", f"{name} twice")
        if expected_local is None:
            start = local
        elif local != expected_local:
            raise _refused(name, f"no bytes between members (offset {expected_local})", f"offset {local}")
        members[name], expected_local = payload, next_local
    if position != end or expected_local != end - size:
        raise _refused("zip directory", "no bytes beside the members", "other bytes")
    return data[:start], members


def _read_member(data: bytes, position: int, end: int, methods: tuple[int, ...]) -> tuple[str, bytes, int, int, int]:
    """One directory entry: (name, payload, its local header's offset, the next local header's offset, the next entry's position)."""
    if position + _CENTRAL.size > end or data[position : position + 4] != b"PK\1\2":
        raise _refused("zip directory", "a member entry", "other bytes")
    (_, _, _, flags, method, _, _, crc, packed, size, name_length, extra, comment, disk, _, _, local) = _CENTRAL.unpack_from(data, position)
    raw_name = data[position + _CENTRAL.size : position + _CENTRAL.size + name_length]
    name = raw_name.decode("ascii", "replace")[:40]
    if flags or extra or comment or disk or not re.fullmatch(rb"[a-z0-9_.]{1,40}", raw_name):
        raise _refused(f"zip member {name!r}", "a plain name, no flags and no extra fields", f"flags {flags}, {extra} extra bytes")
    if method not in methods:
        raise _refused(name, f"zip method {' or '.join(map(str, methods))}", f"{method}")
    if max(size, packed) > MAX_MEMBER_BYTES:
        raise _refused(name, f"at most {MAX_MEMBER_BYTES} bytes", f"{max(size, packed)}")
    header = (b"PK\3\4", flags, method, crc, packed, size, name_length, 0)
    if local + _LOCAL.size > end:
        raise _refused(name, "a header inside the file", f"offset {local}")
    signature, _, local_flags, local_method, _, _, *rest = _LOCAL.unpack_from(data, local)
    begin = local + _LOCAL.size + name_length
    if (signature, local_flags, local_method, *rest) != header or data[local + _LOCAL.size : begin] != raw_name or begin + packed > end:
        raise _refused(name, "a local header that says what the directory says", "another")
    payload = data[begin : begin + packed]
    if method == zipfile.ZIP_DEFLATED:
        payload = _inflate(name, payload, size)
    if len(payload) != size or zlib.crc32(payload) != crc:
        raise _refused(name, f"{size} bytes with CRC {crc:08x}", f"{len(payload)} with {zlib.crc32(payload):08x}")
    return name, payload, local, begin + packed, position + _CENTRAL.size + name_length


def _inflate(name: str, packed: bytes, size: int) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        payload = inflater.decompress(packed, size + 1)
    except zlib.error as error:
        raise _refused(name, "a deflate stream", str(error)) from None
    if not inflater.eof or inflater.unused_data:
        raise _refused(name, f"a deflate stream of {size} bytes", "a longer or cut one")
    return payload


def _refused(where: str, expected: str, found: str) -> PackError:
    return PackError(f"{where}: expected {expected}, found {found}; get the file again from its source or build the pack again")
