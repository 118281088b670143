"""Packs with one thing wrong, put together past every check of the writer."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_kws.errors import PackError
from edge_kws.pack import Pack
from edge_kws.pack_archive import append_archive, write_golden
from edge_kws.pack_flatbuffer import wrap
from edge_kws.pack_metadata import write_metadata


def metadata() -> bytes:
    """Sound TFLite Metadata."""
    return write_metadata(name="n", description="d", version="1", license="l", input_text="i", output_text="o")


def members(pack: Pack) -> dict[str, bytes]:
    """The archive members of a sound pack."""
    labels = "".join(f"{label}\n" for label in pack.labels).encode()
    return {"labels.txt": labels, "edge_kws.json": pack.info.canonical_json(), "golden.npz": pack.golden.to_bytes()}


def assemble(
    pack: Pack,
    *,
    info: Callable[[dict[str, Any]], object] | None = None,
    model: bytes | None = None,
    golden: Mapping[str, NDArray[np.int8]] | None = None,
    labels: bytes | None = None,
    extra: Mapping[str, bytes] | None = None,
) -> bytes:
    """A pack file whose hashes are right and whose CRCs are right, and whatever was asked for is wrong.

    Args:
        pack: a sound pack to begin with.
        info: changes the parsed edge_kws.json in place; runs last, so it may also spoil a hash.
        model: another model.
        golden: other golden arrays.
        labels: another labels.txt.
        extra: more members.
    """
    parts = members(pack)
    document: dict[str, Any] = json.loads(parts["edge_kws.json"])
    if model is not None:
        document |= {"model_sha256": hashlib.sha256(model).hexdigest(), "model_bytes": len(model)}
    if golden is not None:
        parts["golden.npz"] = write_golden(golden)
        document["golden_sha256"] = hashlib.sha256(
            b"".join(golden[name].tobytes() for name in ("windows", "outputs") if name in golden)
        ).hexdigest()
    if labels is not None:
        parts["labels.txt"] = labels
    if info is not None:
        info(document)
    parts["edge_kws.json"] = json.dumps(document).encode()
    return append_archive(wrap(model or pack.model, metadata()), {**parts, **(extra or {})})


def refusal(data: bytes) -> str:
    """What the reader says of `data`: one line with what, where, expected, found and the next step."""
    with pytest.raises(PackError) as refused:
        Pack.read(data, path=Path("models/x.tflite"))
    message = str(refused.value)
    assert message.startswith("models/x.tflite: ")
    assert message.isprintable()
    assert len(message) < 700
    assert "expected" in message or "unknown to schema" in message
    assert ";" in message  # the next step
    return message
