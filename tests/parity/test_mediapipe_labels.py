"""MediaPipe 1.2.2 reads name, description and labels of a pack, and its AudioClassifier answers with labels packed by our writer.

A pack's input is features, so AudioClassifier cannot take a pack itself. What it reads of TFLite Metadata is shown in two ways: its
displayer and generated reader on a real pack, and the whole classifier on a waveform model that carries our archive and our metadata,
with only the audio format (which our packs have no use for) added.
"""

import json
import sys
import types
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest

from edge_kws.pack_archive import append_archive
from edge_kws.pack_flatbuffer import graph_io, unwrap, wrap
from edge_kws.pack_metadata import LABELS_FILE, write_metadata
from tests.golden.tiny_model import LABELS, tiny_pack, waveform_model

pytest.importorskip("mediapipe", reason="mediapipe is not installed (dependency group dev)")


@pytest.fixture
def metadata_tools() -> Iterator[Any]:
    """mediapipe.tasks.python.metadata, whose import in 1.2.2 asks for a writer module that the wheel lacks; reading does not use it."""
    absent = ["mediapipe.tasks.cc", "mediapipe.tasks.cc.metadata", "mediapipe.tasks.cc.metadata.python"]
    added = [name for name in absent if name not in sys.modules]
    for name in added:
        sys.modules[name] = types.ModuleType(name)
    setattr(sys.modules[absent[-1]], "_pywrap_metadata_version", types.ModuleType("_pywrap_metadata_version"))  # noqa: B010
    try:
        from mediapipe.tasks.python.metadata import metadata

        yield metadata
    finally:
        for name in added:
            del sys.modules[name]


def test_displayer_reads_a_pack(metadata_tools: Any, tmp_path: Path) -> None:
    pack = tiny_pack()
    displayer = metadata_tools.MetadataDisplayer.with_model_file(str(pack.write(tmp_path / "tiny.tflite")))

    assert displayer.get_packed_associated_file_list() == [LABELS_FILE, "edge_kws.json", "golden.npz"]
    assert displayer.get_associated_file_buffer(LABELS_FILE).decode().splitlines() == list(LABELS)
    found = json.loads(displayer.get_metadata_json())  # MediaPipe's own C++ parser against its own schema file
    assert (found["name"], found["version"], found["license"]) == ("tiny", "1.2.3", "Apache-2.0")
    assert found["description"] == pack.info.description
    assert found["min_parser_version"] == "1.0.0"
    (subgraph,) = found["subgraph_metadata"]
    (source,), (result,) = subgraph["input_tensor_metadata"], subgraph["output_tensor_metadata"]
    assert source["content"] == {"content_properties_type": "FeatureProperties", "content_properties": {}}
    (labels,) = result["associated_files"]
    assert (labels["name"], labels["type"]) == (LABELS_FILE, "TENSOR_AXIS_LABELS")


def test_generated_reader_agrees_with_our_walk(tmp_path: Path) -> None:
    metadata_schema, model_schema = _generated("metadata_schema"), _generated("schema")

    pack = tiny_pack()
    stored = pack.write(tmp_path / "tiny.tflite").read_bytes()
    model = model_schema.ModelT.InitFromObj(model_schema.Model.GetRootAsModel(stored, 0))
    assert [entry.name for entry in model.metadata] == [b"TFLITE_METADATA"]
    metadata = bytes(model.buffers[model.metadata[0].buffer].data)
    assert metadata_schema.ModelMetadata.ModelMetadataBufferHasIdentifier(metadata, 0)

    original = model_schema.ModelT.InitFromObj(model_schema.Model.GetRootAsModel(pack.model, 0))
    (ours,), _ = graph_io(pack.model)
    tensor = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
    assert (tuple(tensor.shape), tensor.quantization.scale[0]) == (ours.shape, ours.scale)
    assert len(model.buffers) == len(original.buffers) + 1
    for before, after in zip(original.buffers, model.buffers, strict=False):
        assert np.array_equal(before.data, after.data)


def test_audio_classifier_answers_with_our_labels(tmp_path: Path) -> None:
    from mediapipe.tasks.python import audio
    from mediapipe.tasks.python.components.containers import AudioData
    from mediapipe.tasks.python.core.base_options import BaseOptions

    metadata_schema = _generated("metadata_schema")
    ours = write_metadata(name="wave", description="d", version="1", license="Apache-2.0", input_text="samples", output_text="posteriors")
    metadata = metadata_schema.ModelMetadataT.InitFromObj(metadata_schema.ModelMetadata.GetRootAs(ours))
    content = metadata.subgraphMetadata[0].inputTensorMetadata[0].content
    content.contentPropertiesType = metadata_schema.ContentProperties.AudioProperties
    content.contentProperties = metadata_schema.AudioPropertiesT()
    content.contentProperties.sampleRate, content.contentProperties.channels = 16_000, 1
    builder = flatbuffers.Builder(1024)
    builder.Finish(metadata.Pack(builder), b"M001")

    model = waveform_model(160, len(LABELS))
    stored = wrap(model, bytes(builder.Output()))
    assert unwrap(stored, len(model))[0] == model
    path = tmp_path / "wave.tflite"
    path.write_bytes(append_archive(stored, {LABELS_FILE: "".join(f"{label}\n" for label in LABELS).encode()}))

    options = audio.AudioClassifierOptions(base_options=BaseOptions(model_asset_path=str(path)), max_results=len(LABELS))
    with audio.AudioClassifier.create_from_options(options) as classifier:
        sound = np.random.default_rng(0).normal(0, 0.3, 160).astype(np.float32)
        (result,) = classifier.classify(AudioData.create_from_array(sound, 16_000))
    categories = {category.index: category.category_name for category in result.classifications[0].categories}
    assert categories == dict(enumerate(LABELS))


def _generated(name: str) -> Any:
    """One of MediaPipe's generated flatbuffer readers; their annotations do not fit their use."""
    return import_module(f"mediapipe.tasks.metadata.{name}_py_generated")
