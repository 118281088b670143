"""The standard TFLite Metadata of a pack: what MediaPipe and other readers of the convention see.

Written with the plain flatbuffers builder, field by field, after metadata_schema.fbs (identifier M001, parser version 1.0.0).
`edge_kws.json` is what this project reads; of the metadata it checks only that it hands strangers the same labels file.
"""

from collections.abc import Sequence
from typing import Any

from edge_kws.errors import PackError
from edge_kws.pack_flatbuffer import Table

IDENTIFIER = b"M001"
LABELS_FILE = "labels.txt"

_MIN_PARSER_VERSION = "1.0.0"  # every field written below exists since then
_TENSOR_AXIS_LABELS = 2  # AssociatedFileType
_FEATURE_PROPERTIES = 1  # ContentProperties
_MODEL_SUBGRAPHS, _SUBGRAPH_INPUTS, _SUBGRAPH_OUTPUTS, _TENSOR_FILES = 3, 2, 3, 6
_MODEL_SLOTS, _SUBGRAPH_SLOTS, _TENSOR_SLOTS, _FILE_SLOTS = 8, 10, 7, 5


def write_metadata(*, name: str, description: str, version: str, license: str, input_text: str, output_text: str) -> bytes:
    """A finished ModelMetadata flatbuffer for a model with one feature input and one labelled output.

    Args:
        name: the pack's name; also names the subgraph.
        description: one line about the model.
        version: the pack's version.
        license: SPDX expression of the weights.
        input_text: what the input tensor holds.
        output_text: what the output tensor holds.
    """
    import flatbuffers  # at write time only: reading needs nothing but this project

    b: Any = flatbuffers.Builder(1024)
    labels = _table(
        b, _FILE_SLOTS, [(0, b.CreateString(LABELS_FILE)), (1, b.CreateString("One label a line, in output order."))], _TENSOR_AXIS_LABELS
    )
    properties = _table(b, 0, [])
    b.StartObject(2)
    b.PrependUint8Slot(0, _FEATURE_PROPERTIES, 0)
    b.PrependUOffsetTRelativeSlot(1, properties, 0)
    content = b.EndObject()
    inputs = _vector(b, [_table(b, _TENSOR_SLOTS, [(0, b.CreateString("features")), (1, b.CreateString(input_text)), (3, content)])])
    files = _vector(b, [labels])
    outputs = _vector(b, [_table(b, _TENSOR_SLOTS, [(0, b.CreateString("posteriors")), (1, b.CreateString(output_text)), (6, files)])])
    subgraphs = _vector(b, [_table(b, _SUBGRAPH_SLOTS, [(0, b.CreateString(name)), (2, inputs), (3, outputs)])])
    strings = {0: name, 1: description, 2: version, 4: "edge_kws", 5: license, 7: _MIN_PARSER_VERSION}
    fields = [(slot, b.CreateString(text)) for slot, text in strings.items()]
    b.Finish(_table(b, _MODEL_SLOTS, [*fields, (_MODEL_SUBGRAPHS, subgraphs)]), file_identifier=IDENTIFIER)
    return bytes(b.Output())


def check_metadata(metadata: bytes) -> None:
    """Raises PackError unless the metadata names `labels.txt` as the axis labels of one output tensor of one subgraph."""
    if metadata[4:8] != IDENTIFIER:
        raise PackError(
            f"TFLite Metadata of another kind: expected identifier {IDENTIFIER!r}, found {metadata[4:8]!r}; build the pack again"
        )
    subgraphs = Table.root(metadata).tables(_MODEL_SUBGRAPHS)
    # Only the first is looked into: thousands could share one long vector.
    inputs, outputs = (subgraphs[0].tables(field) if subgraphs else [] for field in (_SUBGRAPH_INPUTS, _SUBGRAPH_OUTPUTS))
    if not len(subgraphs) == len(inputs) == len(outputs) == 1:
        found = f"{len(subgraphs)} with {len(inputs)} inputs and {len(outputs)} outputs"
        raise PackError(
            f"TFLite Metadata does not fit the model: expected 1 subgraph with 1 input and 1 output, found {found}; build the pack again"
        )
    files = [(file.payload(0, limit=1024), file.integer(2, "<b")) for file in outputs[0].tables(_TENSOR_FILES)]
    if files != [(LABELS_FILE.encode(), _TENSOR_AXIS_LABELS)]:
        raise PackError(
            f"TFLite Metadata names other labels: expected {LABELS_FILE} as axis labels, found {str(files)[:80]}; build the pack again"
        )


def _table(builder: Any, slots: int, fields: Sequence[tuple[int, int]], file_type: int | None = None) -> int:
    """A table of offset fields, and the `type` field that only AssociatedFile has."""
    builder.StartObject(slots)
    for slot, offset in fields:
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    if file_type is not None:
        builder.PrependInt8Slot(2, file_type, 0)
    return builder.EndObject()


def _vector(builder: Any, tables: Sequence[int]) -> int:
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return builder.EndVector()
