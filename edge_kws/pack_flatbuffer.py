"""The flatbuffer half of a pack: a bounds-checked walk over a TFLite model, and TFLite Metadata added in front of it.

Metadata is usually added by unpacking and repacking the whole model, which no reader can undo to check a hash. Here the model's own
bytes are kept as they are: a new root (header, Model table, `buffers` and `metadata` vectors, the metadata buffer) is written in
front of them, and its offsets point forward into the untouched bytes, as flatbuffers require:

    stored = prefix | model            prefix: a multiple of 64 bytes; model: exactly the bytes the exporter wrote

`model_sha256` is therefore the plain SHA-256 of the exported `.tflite`, and a reader proves a stored flatbuffer by taking the model
off its end and wrapping it again: the bytes must be equal, so the prefix can hide no other graph.
Source: tensorflow/compiler/mlir/lite/schema/schema.fbs; https://flatbuffers.dev/internals.
"""

import struct
from dataclasses import dataclass

from edge_kws.errors import PackError

IDENTIFIER = b"TFL3"
METADATA_NAME = b"TFLITE_METADATA"

# A hostile file can point thousands of tables at one long string or vector: what is copied for each must be short.
_MAX_VECTOR = 65_536
_MAX_NAME = 1024
_PREFIX_ALIGNMENT = 64
_MODEL_FIELDS = 8
_VERSION, _OPERATOR_CODES, _SUBGRAPHS, _DESCRIPTION, _BUFFERS, _METADATA_BUFFER, _METADATA, _SIGNATURE_DEFS = range(_MODEL_FIELDS)
_SUBGRAPH_TENSORS, _SUBGRAPH_INPUTS, _SUBGRAPH_OUTPUTS = range(3)
_TENSOR_SHAPE, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_QUANTIZATION = 0, 1, 3, 4
_QUANTIZATION_SCALE, _QUANTIZATION_ZERO_POINT = 2, 3
_TENSOR_TYPES = {
    0: "float32",
    1: "float16",
    2: "int32",
    3: "uint8",
    4: "int64",
    5: "string",
    6: "bool",
    7: "int16",
    9: "int8",
    10: "float64",
}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A graph input or output: dtype name, shape, and per-tensor quantisation (None where the tensor has none)."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float | None
    zero_point: int | None


def unpack(layout: str, data: bytes, position: int) -> int:
    """One little-endian integer at `position`; PackError outside the data."""
    if not 0 <= position <= len(data) - struct.calcsize(layout):
        raise damaged(f"an offset inside its {len(data)} bytes", f"offset {position}")
    value: int = struct.unpack_from(layout, data, position)[0]
    return value


def damaged(expected: str, found: str) -> PackError:
    """The error of a flatbuffer that cannot be walked."""
    return PackError(f"damaged flatbuffer: expected {expected}, found {found}; get the file again from its source")


@dataclass(frozen=True, slots=True)
class Table:
    """A flatbuffer table at `position`; every access is checked against the ends of `data`."""

    data: bytes
    position: int

    @classmethod
    def root(cls, data: bytes) -> "Table":
        """The root table of a flatbuffer."""
        return cls(data, unpack("<I", data, 0))

    def field_count(self) -> int:
        """Number of field slots in this table's vtable."""
        return (unpack("<H", self.data, self._vtable()) - 4) // 2

    def _vtable(self) -> int:
        return self.position - unpack("<i", self.data, self.position)

    def slot(self, field: int) -> int | None:
        """Position of a field's inline value, None where the field is absent."""
        vtable = self._vtable()
        if 4 + 2 * field + 2 > unpack("<H", self.data, vtable):
            return None
        offset = unpack("<H", self.data, vtable + 4 + 2 * field)
        return self.position + offset if offset else None

    def integer(self, field: int, layout: str = "<I", default: int = 0) -> int:
        """An inline integer of the given struct layout."""
        slot = self.slot(field)
        return default if slot is None else unpack(layout, self.data, slot)

    def target(self, field: int) -> int | None:
        """Position of what an offset field points at, None where the field is absent."""
        slot = self.slot(field)
        if slot is None:
            return None
        target = slot + unpack("<I", self.data, slot)
        if target >= len(self.data):
            raise damaged(f"an offset inside its {len(self.data)} bytes", f"offset {target}")
        return target

    def table(self, field: int) -> "Table | None":
        """A sub-table."""
        target = self.target(field)
        return None if target is None else Table(self.data, target)

    def payload(self, field: int, item_bytes: int = 1, limit: int | None = None) -> bytes:
        """The bytes of a string or vector of scalars, empty where absent; at most `limit` items."""
        target = self.target(field)
        if target is None:
            return b""
        count = unpack("<I", self.data, target)
        end = target + 4 + count * item_bytes
        if end > len(self.data) or (limit is not None and count > limit):
            raise damaged(f"a vector of at most {limit or len(self.data)} items", f"{count} items")
        return self.data[target + 4 : end]

    def integers(self, field: int, layout: str = "i") -> tuple[int, ...]:
        """A short vector of scalars (struct layout letter), empty where absent."""
        size = struct.calcsize("<" + layout)
        payload = self.payload(field, size, limit=_MAX_VECTOR)
        return struct.unpack(f"<{len(payload) // size}{layout}", payload)

    def tables(self, field: int) -> list["Table"]:
        """A vector of tables, empty where absent."""
        target = self.target(field)
        if target is None:
            return []
        offsets = self.integers(field, "I")
        positions = [target + 4 + 4 * i + offset for i, offset in enumerate(offsets)]
        if max(positions, default=0) >= len(self.data):
            raise damaged(f"offsets inside its {len(self.data)} bytes", f"offset {max(positions)}")
        return [Table(self.data, position) for position in positions]


def check_model_identifier(data: bytes) -> None:
    """Raises PackError unless the bytes start like a TFLite flatbuffer."""
    if len(data) < 8 or data[4:8] != IDENTIFIER:
        raise PackError(f"not a TFLite file: expected {IDENTIFIER!r} at byte 4, found {data[4:8]!r}; give a pack made by `edge-kws train`")


def wrap(model: bytes, metadata: bytes) -> bytes:
    """Puts TFLite Metadata in front of a model.

    Args:
        model: a TFLite flatbuffer without TFLITE_METADATA.
        metadata: a finished ModelMetadata flatbuffer (identifier M001).

    Returns:
        A TFLite flatbuffer that ends with `model`, byte for byte. The same arguments always give the same bytes.

    Raises:
        PackError: the model is damaged, has fields this layout does not know, or carries metadata already.
    """
    check_model_identifier(model)
    root = Table.root(model)
    if any(root.slot(field) is not None for field in range(_MODEL_FIELDS, root.field_count())):
        raise PackError(
            f"model uses a newer TFLite schema: expected the {_MODEL_FIELDS} known root fields, found {root.field_count()}; export it again"
        )
    buffers, entries = root.tables(_BUFFERS), root.tables(_METADATA)
    if any(entry.payload(0, limit=_MAX_NAME) == METADATA_NAME for entry in entries):
        raise PackError(
            "model already carries TFLITE_METADATA: expected a plain exported model, found metadata; hand over the export itself"
        )
    return _Prefix(len(buffers), len(entries), len(metadata)).fill(root, buffers, entries, metadata) + model


def unwrap(stored: bytes, model_bytes: int) -> tuple[bytes, bytes]:
    """Takes a stored flatbuffer apart into (model, metadata) and proves that wrapping them again gives the same bytes."""
    check_model_identifier(stored)
    if not 8 <= model_bytes < len(stored):
        raise PackError(
            f"model_bytes does not fit the file: expected 8..{len(stored) - 1}, found {model_bytes}; get the file again from its source"
        )
    model = stored[-model_bytes:]
    root = Table.root(stored)
    buffers = root.tables(_BUFFERS)
    indices = [entry.integer(1) for entry in root.tables(_METADATA) if entry.payload(0, limit=_MAX_NAME) == METADATA_NAME]
    if len(indices) != 1 or not 0 <= indices[0] < len(buffers):
        raise PackError(f"no TFLite Metadata: expected 1 {METADATA_NAME.decode()} buffer, found {len(indices)}; build the pack again")
    metadata = buffers[indices[0]].payload(0)
    if wrap(model, metadata) != stored:
        raise PackError(
            "the graph a stranger would run is not the model of this pack: expected equal bytes, found others; get the file again"
        )
    return model, metadata


def graph_io(model: bytes) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """The inputs and outputs of a model's first subgraph."""
    check_model_identifier(model)
    subgraphs = Table.root(model).tables(_SUBGRAPHS)
    if not subgraphs:
        raise damaged("a subgraph", "none")
    tensors = subgraphs[0].tables(_SUBGRAPH_TENSORS)

    def specs(field: int) -> list[TensorSpec]:
        indices = subgraphs[0].integers(field)
        if any(not 0 <= index < len(tensors) for index in indices):
            raise damaged(f"tensor indices below {len(tensors)}", f"{indices[:4]}")
        return [_tensor_spec(tensors[index]) for index in indices[:16]]

    return specs(_SUBGRAPH_INPUTS), specs(_SUBGRAPH_OUTPUTS)


def _tensor_spec(tensor: Table) -> TensorSpec:
    quantization = tensor.table(_TENSOR_QUANTIZATION)
    scales = quantization.payload(_QUANTIZATION_SCALE, 4, limit=_MAX_VECTOR) if quantization else b""
    zero_points = quantization.integers(_QUANTIZATION_ZERO_POINT, "q") if quantization else ()
    kind = tensor.integer(_TENSOR_TYPE, "<b")
    return TensorSpec(
        name=tensor.payload(_TENSOR_NAME, limit=_MAX_NAME).decode("utf-8", "replace"),
        dtype=_TENSOR_TYPES.get(kind, f"type {kind}"),
        shape=tensor.integers(_TENSOR_SHAPE),
        scale=struct.unpack("<f", scales)[0] if len(scales) == 4 else None,
        zero_point=zero_points[0] if len(zero_points) == 1 else None,
    )


def _align(position: int, to: int) -> int:
    return -(-position // to) * to


class _Prefix:
    """Where each part of the prefix lies. Fixed by schema_version 1: changing it makes old packs unreadable."""

    vtable, model = 8, 28  # the vtable has 2 + 8 uint16, the table an soffset and 8 fields of 4 bytes
    buffers = 64

    def __init__(self, buffers: int, entries: int, metadata_bytes: int) -> None:
        self.metadata = self.buffers + 4 * (1 + buffers + 1)
        self.entry_vtable = self.metadata + 4 * (1 + entries + 1)
        self.entry = self.entry_vtable + 8
        self.name = self.entry + 12
        self.buffer_vtable = self.name + 4 + _align(len(METADATA_NAME) + 1, 4)
        self.buffer = self.buffer_vtable + 8
        self.data = _align(self.buffer + 8 + 4, 16) - 4  # the payload itself is 16-aligned, its length stands before it
        self.total = _align(self.data + 4 + metadata_bytes, _PREFIX_ALIGNMENT)

    def fill(self, root: Table, buffers: list[Table], entries: list[Table], metadata: bytes) -> bytes:
        """The prefix bytes for a model whose root, buffers and metadata entries are given at their positions in the model."""
        out = bytearray(self.total)

        def link(slot: int, target: int) -> None:
            struct.pack_into("<I", out, slot, target - slot)

        def vector(at: int, targets: list[int]) -> None:
            struct.pack_into("<I", out, at, len(targets))
            for i, target in enumerate(targets):
                link(at + 4 + 4 * i, target)

        struct.pack_into("<I4s", out, 0, self.model, IDENTIFIER)
        offsets = [0] * _MODEL_FIELDS
        for field in range(_MODEL_FIELDS):
            slot = self.model + 4 + 4 * field
            target = root.target(field) if field != _VERSION else None
            if field == _VERSION:
                struct.pack_into("<I", out, slot, root.integer(_VERSION))
            elif field in (_BUFFERS, _METADATA):
                link(slot, self.buffers if field == _BUFFERS else self.metadata)
            elif target is not None:
                link(slot, self.total + target)
            else:
                continue
            offsets[field] = slot - self.model
        struct.pack_into(f"<HH{_MODEL_FIELDS}H", out, self.vtable, 4 + 2 * _MODEL_FIELDS, 4 + 4 * _MODEL_FIELDS, *offsets)
        struct.pack_into("<i", out, self.model, self.model - self.vtable)

        vector(self.buffers, [*(self.total + table.position for table in buffers), self.buffer])
        vector(self.metadata, [*(self.total + table.position for table in entries), self.entry])
        struct.pack_into("<HHHH", out, self.entry_vtable, 8, 12, 4, 8)
        struct.pack_into("<iII", out, self.entry, self.entry - self.entry_vtable, 0, len(buffers))
        link(self.entry + 4, self.name)
        struct.pack_into(f"<I{len(METADATA_NAME)}s", out, self.name, len(METADATA_NAME), METADATA_NAME)
        struct.pack_into("<HHH", out, self.buffer_vtable, 6, 8, 4)
        struct.pack_into("<i", out, self.buffer, self.buffer - self.buffer_vtable)
        link(self.buffer + 4, self.data)
        struct.pack_into("<I", out, self.data, len(metadata))
        out[self.data + 4 : self.data + 4 + len(metadata)] = metadata
        return bytes(out)
