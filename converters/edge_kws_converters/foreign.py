"""Models that were trained elsewhere, as packs of ours.

A streaming model (its state in resource variables) becomes the whole window it amounts to, byte for byte; from there on it is a pack
like any other: compiled, streamed, evaluated, exported.
"""

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_kws.decoder import DecoderConfig
from edge_kws.errors import ConversionError
from edge_kws.frontend import FEATURE_ZERO_POINT, FrontendConfig
from edge_kws.pack import MAX_PACK_BYTES, DataSource, Golden, Pack, Provenance, build_pack
from edge_kws.pack_flatbuffer import graph_io
from edge_kws.pack_info import one_line
from edge_kws_converters.compiler import read_model
from edge_kws_converters.golden import feature_rows
from edge_kws_converters.graph import Graph
from edge_kws_converters.passes.whole_window import whole_window, with_input_scale
from edge_kws_converters.writers.tflite import write_tflite

ESPHOME_FRONTEND = FrontendConfig(noise_reduction=True, pcan=True, feature_divisor=666)
"""The features of ESPHome's micro_wake_word and of microWakeWord's training."""
NOT_STATED = "not stated"
_SCALE_TOLERANCE = 0.005
_REFRACTORY_MS = 1000
_GOLDEN_WINDOWS = 2
_POSTERIOR_STEPS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What is known of a foreign model beside its bytes: `source` says where it came from, `license` is its author's word."""

    source: str
    license: str = NOT_STATED
    note: str = ""
    text: str = ""


class _Micro(BaseModel):
    model_config = ConfigDict(extra="ignore")
    probability_cutoff: Annotated[float, Field(gt=0, lt=1)]
    sliding_window_size: Annotated[int, Field(ge=1, le=64)]
    feature_step_size: Annotated[int, Field(ge=5, le=30)]


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="ignore")
    type: Literal["micro"]
    version: Literal[2]
    wake_word: Annotated[str, Field(min_length=1, max_length=64)]
    author: str
    website: str = ""
    model: Annotated[str, Field(min_length=1, max_length=200)]
    micro: _Micro


def import_microwakeword(path: Path, license: str = NOT_STATED) -> Pack:
    """A pack of a microWakeWord model.

    Args:
        path: the manifest (version 2), or the model beside which it lies under the same name.
        license: of the weights, as their author states it.

    Raises:
        ConversionError: a file that is missing or no such manifest, or a model that cannot be a pack. PackError: its parts do not fit.
    """
    path = path.with_suffix(".json") if path.suffix == ".tflite" else path
    text = _read(path, "a microWakeWord manifest")
    manifest = _manifest(path, text)
    model = path.parent / Path(manifest.model).name
    micro = manifest.micro
    steps = _POSTERIOR_STEPS * micro.sliding_window_size
    # Theirs fires above the cutoff, ours at the threshold: between the last average that is not enough and the first that is.
    threshold = (math.floor(micro.probability_cutoff * steps) + 0.5) / steps
    return make_pack(
        model.stem,
        _read(model, "the model its manifest names"),
        labels=[re.sub(r"\s+", "_", manifest.wake_word.strip().lower())],
        threshold=min(1.0, threshold),
        average_window=micro.sliding_window_size,
        frontend=replace(ESPHOME_FRONTEND, hop_ms=micro.feature_step_size),
        origin=Origin(
            source=manifest.website or f"microWakeWord model by {manifest.author}",
            license=license,
            note=f"author {manifest.author}",
            text=text.decode("utf-8", "replace"),
        ),
    )


def import_tflite(
    path: Path, labels: Sequence[str], *, threshold: float, average_window: int, stride: int, esphome: bool, license: str = NOT_STATED
) -> Pack:
    """A pack of any int8 classifier whose input is (1, frames, mel bins[, 1]) features of our front end.

    Args:
        path: the model, whole window or streaming.
        labels: one per output; one that begins with `_` never fires.
        threshold: of every other label, 0..1.
        average_window: posteriors averaged, 1..64.
        stride: hops between runs of a whole-window model; a streaming one has its own.
        esphome: features with noise reduction and gain control (D = 666); else plain log-mel, whose D the input's scale tells.
        license: of the weights, as their author states it.

    Raises:
        ConversionError: no such file, or a model that cannot be a pack. ConfigError, PackError: labels, settings and model do not fit.
    """
    origin = Origin(source=path.name, license=license)
    model = _read(path, "a .tflite model")
    return make_pack(
        path.stem,
        model,
        labels=labels,
        threshold=threshold,
        average_window=average_window,
        frontend=ESPHOME_FRONTEND if esphome else None,
        stride=stride,
        origin=origin,
    )


def make_pack(
    name: str,
    model: bytes,
    *,
    labels: Sequence[str],
    threshold: float,
    average_window: int,
    frontend: FrontendConfig | None,
    origin: Origin,
    stride: int = 1,
) -> Pack:
    """The pack; see `import_tflite`. `frontend` None: plain log-mel with the divisor that the input's scale tells. Raises as it does."""
    graph = read_model(model, name)
    if len(graph.inputs) != 1 or len(graph.outputs) != 1 or len(graph.tensors[graph.inputs[0]].shape) not in (3, 4):
        found = f"{len(graph.inputs)} and {len(graph.outputs)}, the first of shape {[graph.tensors[i].shape for i in graph.inputs[:1]]}"
        raise ConversionError(f"{name}: expected one input (1, frames, mel bins[, 1]) and one output, found {found}; export it so")
    rows, width, channels = graph.tensors[graph.inputs[0]].rows
    bins = width * channels
    if any(node.op == "history" for node in graph.nodes):
        stride = rows
        graph = whole_window(graph)
    frontend = frontend or _plain_frontend(graph, bins)
    whole = _with_scale_of(frontend, graph, model)
    from edge_kws.training.history import commit_at_hand
    from edge_kws_quantization.ptq import cost

    frames = graph.tensors[graph.inputs[0]].rows[0]
    parameters, macs_window, macs_hop = cost(whole)
    windows = feature_rows(_GOLDEN_WINDOWS * frames, bins).reshape(_GOLDEN_WINDOWS, frames, bins)
    stated = f"imported, licence as stated by its author: {one_line(origin.license)}"
    note = f"SHA-256 of the imported file {hashlib.sha256(model).hexdigest()}" + (f"; {one_line(origin.note)}" if origin.note else "")
    return build_pack(
        whole,
        Golden.record(whole, windows),
        name=_name(name),
        version="imported",
        description=f"Imported: {', '.join(labels)[:200]}",
        task="wake_word" if sum(not label.startswith("_") for label in labels) == 1 else "keywords",
        labels=labels,
        frontend=frontend,
        decoder=DecoderConfig(
            thresholds=tuple(None if label.startswith("_") else threshold for label in labels),
            average_window=average_window,
            refractory_steps=max(1, _REFRACTORY_MS // (stride * frontend.hop_ms)),
        ),
        inference_stride_hops=stride,
        parameters=parameters,
        macs_per_window=macs_window,
        macs_per_hop=macs_hop,
        ledger=[DataSource(name=f"weights of {name}", use="train", license=stated, source=one_line(origin.source), note=note)],
        license=one_line(origin.license),
        recipe="# imported, not trained here\n" + "".join(f"# {one_line(line)}\n" for line in origin.text.splitlines()[:200]),
        provenance=Provenance(
            commit=commit_at_hand(),
            seed=0,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            tool_versions={"numpy": version("numpy"), "ai-edge-litert": version("ai-edge-litert")},
        ),
    )


def _with_scale_of(frontend: FrontendConfig, graph: Graph, model: bytes) -> bytes:
    """The whole-window model whose input has the front end's scale exactly; the file's own bytes where they are that already."""
    (source,), (result,) = graph_io(model)
    found = graph.tensors[graph.inputs[0]].quantization
    if found is None or found.zero_point != FEATURE_ZERO_POINT or abs(found.scale / frontend.input_scale - 1) > _SCALE_TOLERANCE:
        has = "none" if found is None else f"{found.scale:.6g}, {found.zero_point}"
        expected = f"scale {frontend.input_scale:.6g}, zero point {FEATURE_ZERO_POINT} (feature divisor {frontend.feature_divisor})"
        raise ConversionError(f"{graph.name}: input: expected {expected}, found {has}; name the front end this model was trained with")
    same = source.dtype == result.dtype == "int8" and source.shape == graph.tensors[graph.inputs[0]].shape
    if same and found.scale == np.float32(frontend.input_scale):
        return model
    with_input_scale(graph, frontend.input_scale)
    return write_tflite(graph)


def _plain_frontend(graph: Graph, bins: int) -> FrontendConfig:
    found = graph.tensors[graph.inputs[0]].quantization
    scale = 0.0 if found is None else float(found.scale)
    return FrontendConfig(mel_bins=bins, feature_divisor=round(scale / FrontendConfig(feature_divisor=1000).input_scale * 1000))


def _name(stem: str) -> str:
    return re.sub(r"[^a-z0-9_.-]+", "-", stem.lower()).lstrip("-_.")[:64] or "imported"


def _manifest(path: Path, text: bytes) -> _Manifest:
    try:
        document: Any = json.loads(text)
        return _Manifest.model_validate(document)
    except (ValueError, RecursionError) as error:
        found = one_line(error)
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False)[0]
            found = f"{'.'.join(str(part) for part in first['loc']) or 'document'}: {one_line(first['msg'])}"
        raise ConversionError(f"{path}: expected a microWakeWord manifest of version 2, found {found}; correct it") from None


def _read(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_PACK_BYTES + 1)
    except OSError as error:
        raise ConversionError(f"{path}: expected {what}, found: {error.strerror}; check the path") from None
    if len(data) > MAX_PACK_BYTES:
        raise ConversionError(f"{path}: expected at most {MAX_PACK_BYTES} bytes, found more; this is no model for a microcontroller")
    return data
