"""Packs made to hurt: zip bombs, overlapping members, hidden bytes, flatbuffers whose tables all share one long string."""

import io
import struct
import tracemalloc
import zipfile
import zlib

import pytest

from edge_kws.errors import PackError
from edge_kws.pack_archive import append_archive
from edge_kws.pack_flatbuffer import wrap
from edge_kws.pack_metadata import check_metadata
from tests.golden.spoiled_packs import members, metadata, refusal
from tests.golden.tiny_model import tiny_pack

PACK = tiny_pack()
FILE = PACK.to_bytes()
STORED = wrap(PACK.model, metadata())


def test_zip_bombs_cost_nothing() -> None:
    million = b"\0" * (1 << 20)
    parts = members(PACK)
    deflated = io.BytesIO(STORED)
    with zipfile.ZipFile(deflated, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, payload in parts.items():
            archive.writestr(name, payload)
    assert "expected zip method 0" in refusal(deflated.getvalue())
    assert "at most 4194304 bytes" in refusal(append_archive(STORED, {**parts, "golden.npz": million * 5}))

    bombs = {"honest": million * 500, "short": million * 500}
    files: dict[str, bytes] = {}
    for kind, content in bombs.items():
        packed = zlib.compressobj(9, zlib.DEFLATED, -15)
        stream = packed.compress(content) + packed.flush()
        size = len(content) if kind == "honest" else 1000
        files[kind] = append_archive(STORED, {**parts, "golden.npz": _single_member_zip(b"windows.npy", stream, size, zlib.crc32(content))})
    bombs.clear()
    for kind, expected in (
        ("honest", "at most 4194304 bytes, found 524288000"),
        ("short", "a deflate stream of 1000 bytes, found a longer or cut one"),
    ):
        tracemalloc.start()
        try:
            message = refusal(files[kind])
            assert tracemalloc.get_traced_memory()[1] < 32 * 1024 * 1024
        finally:
            tracemalloc.stop()
        assert expected in message


def _single_member_zip(name: bytes, packed: bytes, size: int, crc: int) -> bytes:
    shared = (20, 0, 8, 0, 33, crc, len(packed), size, len(name), 0)
    local = struct.pack("<4s5H3L2H", b"PK\3\4", *shared) + name + packed
    central = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, *shared, 0, 0, 0, 0, 0) + name
    return local + central + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local), 0)


def test_overlapping_and_hidden_bytes() -> None:
    hidden = FILE.replace(b"PK\1\2", b"hidden bytes" + b"PK\1\2", 1)
    refusal(hidden)
    end = FILE.rindex(b"PK\5\6")
    directory = struct.unpack_from("<L", FILE, end + 16)[0]
    overlapping = bytearray(FILE)  # the second member points at the first one's bytes
    second = FILE.index(b"PK\1\2", directory + 4)
    struct.pack_into("<L", overlapping, second + 42, struct.unpack_from("<L", FILE, directory + 42)[0])
    refusal(bytes(overlapping))


def _shared(identifier: bytes, root_fields: dict[int, int], leaf: bytes) -> bytes:
    """A flatbuffer whose root has vectors of tables (field -> length), every element the same table; its field 0 points at `leaf`."""
    vtable = struct.pack("<10H", 20, 36, *(4 + 4 * field if field in root_fields else 0 for field in range(8)))
    root = 8 + len(vtable)
    slots, vectors = bytearray(32), bytearray()
    vectors_at = root + 36
    table_at = vectors_at + sum(4 + 4 * length for length in root_fields.values()) + 8
    for field, length in root_fields.items():
        at = vectors_at + len(vectors)
        struct.pack_into("<I", slots, 4 * field, at - (root + 4 + 4 * field))
        vectors += struct.pack("<I", length) + b"".join(struct.pack("<I", table_at - (at + 4 + 4 * i)) for i in range(length))
    table = struct.pack("<4H", 8, 8, 4, 4) + struct.pack("<iI", 8, 4) + struct.pack("<I", len(leaf)) + leaf
    return struct.pack("<I4s", root, identifier) + vtable + struct.pack("<i", len(vtable)) + bytes(slots) + bytes(vectors) + table


def test_many_tables_sharing_one_long_name() -> None:
    """60,000 metadata entries that share one name of 4 MB would be 240 GB of copies."""
    model = _shared(b"TFL3", {4: 1, 6: 60_000}, b"x" * 4_000_000)
    with pytest.raises(PackError, match="at most 1024 items, found 4000000 items"):
        wrap(model, metadata())


def test_many_subgraphs_sharing_one_long_vector() -> None:
    """60,000 subgraphs in the metadata are refused by their number, before anything in them is read."""
    with pytest.raises(PackError, match="expected 1 subgraph with 1 input and 1 output, found 60000"):
        check_metadata(_shared(b"M001", {3: 60_000}, b"x" * 1000))
