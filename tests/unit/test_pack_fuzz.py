"""Damaged packs: whatever the bytes, reading gives a pack or a PackError, and nothing else."""

import json
from contextlib import suppress
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_kws.errors import PackError
from edge_kws.pack import Pack
from edge_kws.pack_archive import append_archive, read_golden, split_archive
from edge_kws.pack_flatbuffer import graph_io, unwrap, wrap
from edge_kws.pack_metadata import check_metadata
from tests.golden.spoiled_packs import assemble, members, metadata
from tests.golden.tiny_model import tiny_pack

PACK = tiny_pack()
FILE = PACK.to_bytes()
STORED = wrap(PACK.model, metadata())
PARTS = members(PACK)

Edits = list[tuple[float, int]]
edits = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=12)


def changed(data: bytes, edits: Edits, keep: float = 1.0) -> bytes:
    """Overwrites single bytes at relative positions, then truncates to the kept share."""
    out = bytearray(data)
    for place, value in edits:
        out[int(place * len(out))] = value
    return bytes(out[: int(keep * len(out))])


def read(data: bytes) -> Pack | None:
    refusal = ""
    try:
        pack = Pack.read(data)
    except PackError as error:
        pack, refusal = None, str(error)
    assert refusal.isprintable()
    assert len(refusal) < 1000
    if pack is None:
        return None
    assert pack.frontend.mel_bins == pack.golden.windows.shape[2]
    assert len(pack.labels) == pack.golden.outputs.shape[1] == len(pack.decoder.thresholds)
    return pack


@settings(max_examples=400)
@given(edits, st.one_of(st.just(1.0), st.floats(0, 1)))
def test_file(edits: Edits, keep: float) -> None:
    read(changed(FILE, edits, keep))


@settings(max_examples=300)
@given(st.binary(max_size=300), st.integers(0, len(FILE)))
def test_inserted_bytes(inserted: bytes, at: int) -> None:
    read(FILE[:at] + inserted + FILE[at:])
    read(inserted)


@settings(max_examples=400)
@given(edits)
def test_flatbuffer_in_a_sound_archive(edits: Edits) -> None:
    stored = changed(STORED, edits)
    pack = read(append_archive(stored, PARTS))
    if pack is not None:  # only text inside the metadata can change unnoticed
        assert pack.model == PACK.model


@settings(max_examples=400)
@given(edits, st.one_of(st.just(1.0), st.floats(0, 1)))
def test_model_with_right_hashes(edits: Edits, keep: float) -> None:
    with suppress(PackError):  # wrap may refuse it first
        read(assemble(PACK, model=changed(PACK.model, edits, keep) or b"\0"))


@settings(max_examples=300)
@given(edits, st.sampled_from(sorted(PARTS)))
def test_members_with_right_checksums(edits: Edits, name: str) -> None:
    read(append_archive(STORED, {**PARTS, name: changed(PARTS[name], edits)}))


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, child in below for found in _paths(child, (*path, key)))]


DOCUMENT = json.loads(PACK.info.canonical_json())
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=500)
@given(st.sampled_from(_paths(DOCUMENT)[1:]), json_values)
@example(("frontend", "lower_hz"), 10**400)
@example(("frontend", "mel_bins"), -1)
@example(("decoder", "thresholds"), [None] * 70)
def test_any_value_in_any_place(path: tuple[Any, ...], value: Any) -> None:
    def put(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    read(assemble(PACK, info=put))


@settings(max_examples=300)
@given(st.binary(max_size=400), st.integers(0, 500))
def test_parsers_on_any_bytes(data: bytes, model_bytes: int) -> None:
    model = b"\x10\0\0\0TFL3" + data
    for call in (split_archive, read_golden, graph_io, check_metadata, lambda d: wrap(d, b""), lambda d: unwrap(d, model_bytes)):
        for candidate in (data, model):
            try:
                call(candidate)
            except PackError:
                continue
