"""What a pack reader refuses, and that each refusal is one line that says what, where, expected, found and the next step."""

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edge_kws.errors import PackError
from edge_kws.pack import MAX_PACK_BYTES, Pack
from edge_kws.pack_archive import append_archive
from edge_kws.pack_flatbuffer import wrap
from tests.golden.spoiled_packs import assemble, members, metadata, refusal
from tests.golden.tiny_model import FRAMES, FRONTEND, LABELS, features, tiny_model, tiny_pack

BINS = FRONTEND.mel_bins
PACK = tiny_pack()
FILE = PACK.to_bytes()
STORED = wrap(PACK.model, metadata())


def test_sound_assembly_is_read() -> None:
    assert Pack.read(assemble(PACK)).info == PACK.info
    Pack.read(assemble(PACK, extra={"edge_kws.sig": bytes(64)}))


@pytest.mark.parametrize("size", [0, 1, 7, 8, 100, len(STORED), len(FILE) // 2, len(FILE) - 22, len(FILE) - 1])
def test_truncated(size: int) -> None:
    assert "found" in refusal(FILE[:size])


@pytest.mark.parametrize("data", [b"RIFF" + bytes(100), bytes(1000), b"PK\3\4" + bytes(100), FILE + b"\n"])
def test_other_files(data: bytes) -> None:
    refusal(data)


def test_plain_model() -> None:
    assert "found no zip (a plain model, or a truncated file)" in refusal(PACK.model)


def test_too_large() -> None:
    assert f"at most {MAX_PACK_BYTES} bytes" in refusal(bytes(MAX_PACK_BYTES + 1))


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda d: d.update(schema_version=2), "schema_version: expected 1, found 2; upgrade edge_kws"),
        (lambda d: d.update(schema_version=True), "schema_version: expected 1, found True"),
        (lambda d: d.update(schema_version="1"), "schema_version: expected 1, found '1'"),
        (lambda d: d.pop("schema_version"), "schema_version: expected 1, found None"),
        (lambda d: d.pop("labels"), "labels: expected a value, found none"),
        (lambda d: d.pop("provenance"), "provenance: expected a value, found none"),
        (lambda d: d["provenance"].pop("seed"), "provenance.seed: expected a value, found none"),
        (lambda d: d["provenance"].update(training=[{"commit": "a", "epochs": 0}]), "provenance.training.0.epochs: expected greater"),
        (lambda d: d.update(treshold=1), "treshold: expected no such key (unknown to schema 1)"),
        (lambda d: d["quality"][0].update(extra=1), "quality.0.extra: expected no such key"),
        (lambda d: d.update(labels="yes"), "labels: "),
        (lambda d: d["labels"].__setitem__(1, "yes"), "expected unique labels, found one twice"),
        (lambda d: d["labels"].__setitem__(1, "y\nes"), "labels.1: "),
        (lambda d: d["labels"].__setitem__(1, "\x1b[31m"), "labels.1: "),
        (lambda d: d["labels"].__setitem__(1, "a‮b"), "labels.1: "),
        (lambda d: d.update(description="\ud800"), "edge_kws.json: "),
        (lambda d: d.update(parameters=1.5), "parameters: "),
        (lambda d: d.update(parameters="5"), "parameters: "),
        (lambda d: d.update(inference_stride_hops=0), "inference_stride_hops: "),
        (lambda d: d["quality"][0].update(value=float("inf")), "Infinity, which is not JSON"),
        (lambda d: d["quality"][0].update(value=0.5), "expected a value inside its interval [0.925, 0.937], found 0.5"),
        (lambda d: d["quality"][0].update(interval=None), "expected interval and interval_kind together"),
        (lambda d: d.update(model_sha256="0" * 64), "wrong hash of the model: expected SHA-256 0000000000000000..."),
        (lambda d: d.update(golden_sha256="0" * 64), "wrong hash of the golden vectors"),
        (lambda d: d.update(model_bytes=d["model_bytes"] - 64), "not a TFLite file"),
        (lambda d: d.update(model_bytes=10**9), "model_bytes does not fit the file"),
        (lambda d: d["frontend"].pop("hop_ms"), "front end: expected hop_ms, found no such key"),
        (lambda d: d["frontend"].update(hop_ms=1), "front end: hop_ms"),
        (lambda d: d["frontend"].update(colour="red"), "colour"),
        (lambda d: d["frontend"].update(lower_hz=10**400), "front end: expected numbers in range"),
        (lambda d: d["frontend"].update(mel_bins=40), "model input shape: expected (1, frames, 40)"),
        (
            lambda d: d["frontend"].update(feature_divisor=666),
            "model input scale: expected 0.101623535 (D/(256*25.6) with D = 666), found 0.152587891",
        ),
        (lambda d: d["decoder"].pop("min_consecutive"), "decoder: expected min_consecutive, found no such key"),
        (lambda d: d["decoder"].update(thresholds=[0.5]), "expected 4 thresholds, one a label, found 1"),
        (lambda d: d["decoder"].update(thresholds=[2, 0, 0, 0]), "threshold"),
        (lambda d: d["decoder"].update({"a\x1b\n": 1}), "decoder"),
    ],
)
def test_info(change: Change, expected: str) -> None:
    assert expected in refusal(assemble(PACK, info=change))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"1",
        b"null",
        b"\xff",
        b"{",
        b'{"schema_version":1,"schema_version":1}',
        b"[" * 100_000,
        b'{"schema_version":' + b"9" * 5000 + b"}",
    ],
)
def test_info_that_is_no_json_object(text: bytes) -> None:
    assert "edge_kws.json" in refusal(append_archive(STORED, {**members(PACK), "edge_kws.json": text}))


def _tensor(index: int, **fields: Any) -> Callable[[Any], None]:
    def edit(model: Any) -> None:
        tensor = model.subgraphs[0].tensors[index]
        for name, value in fields.items():
            setattr(tensor.quantization if name in ("scale", "zeroPoint") else tensor, name, value)

    return edit


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (tiny_model(edit=_tensor(0, type=0)), "model input type: expected int8, found float32"),
        (tiny_model(edit=_tensor(0, type=77)), "model input type: expected int8, found type 77"),
        (tiny_model(edit=_tensor(0, shape=[1, FRAMES, BINS + 1, 1])), f"model input shape: expected (1, frames, {BINS})"),
        (tiny_model(edit=_tensor(0, shape=[2, FRAMES, BINS, 1])), "model input shape"),
        (tiny_model(edit=_tensor(0, shape=[1, -1, BINS, 1])), "model input shape"),
        (tiny_model(edit=_tensor(0, shape=[FRAMES * BINS])), "model input shape"),
        (tiny_model(edit=_tensor(0, shape=None)), "model input shape"),
        (
            tiny_model(edit=_tensor(0, scale=[0.1])),
            "model input scale: expected 0.152587891 (D/(256*25.6) with D = 1000), found 0.100000001",
        ),
        (tiny_model(edit=_tensor(0, scale=[float("nan")])), "model input scale"),
        (tiny_model(edit=_tensor(0, scale=[0.1, 0.2])), "expected one scale and zero point, found none"),
        (tiny_model(edit=_tensor(0, quantization=None)), "expected one scale and zero point, found none"),
        (tiny_model(edit=_tensor(0, zeroPoint=[0])), "model input zero point: expected -128, found 0"),
        (tiny_model(edit=_tensor(9, scale=[0.5])), "model output scale: expected 0.00390625"),
        (tiny_model(edit=_tensor(9, zeroPoint=[2**62])), "model output zero point: expected -128"),
        (tiny_model(edit=_tensor(9, type=3)), "model output type: expected int8, found uint8"),
        (tiny_model(classes=5), "model output: expected 4 elements, one a label, found shape (1, 5)"),
        (tiny_model(frames=FRAMES + 1), f"golden windows: expected int8 (1..256, {FRAMES + 1}, {BINS}), found int8 (3, {FRAMES}, {BINS})"),
        (tiny_model(edit=lambda model: model.subgraphs[0].outputs.append(0)), "expected 1 input and 1 output, found 1 and 2"),
        (tiny_model(edit=lambda model: model.subgraphs[0].inputs.clear()), "expected 1 input and 1 output, found 0 and 1"),
        (tiny_model(edit=lambda model: model.subgraphs[0].inputs.__setitem__(0, 999)), "expected tensor indices below"),
        (tiny_model(edit=lambda model: model.subgraphs.clear()), "expected a subgraph, found none"),
    ],
)
def test_model_that_does_not_fit(model: bytes, expected: str) -> None:
    assert expected in refusal(assemble(PACK, model=model))


def test_scale_one_float32_step_away_is_the_same_scale() -> None:
    scale = float(np.nextafter(np.float32(FRONTEND.input_scale), np.float32(1)))
    assert tiny_pack(tiny_model(input_scale=scale)).labels == LABELS


def test_newer_tflite_schema() -> None:
    def external_buffers(model: Any) -> None:
        model.externalBuffers = []

    with pytest.raises(PackError, match="newer TFLite schema"):
        tiny_pack(tiny_model(edit=external_buffers))


@pytest.mark.parametrize("model", [b"", b"x" * 100, tiny_model()[:40], b"\xff\xff\xff\xffTFL3" + bytes(50)])
def test_build_refuses_what_is_no_model(model: bytes) -> None:
    golden = PACK.golden
    with pytest.raises(PackError):
        tiny_pack(model, golden=golden)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [(b"", "labels.txt"), (b"a\nb\nc\nd\n", "expected the labels of edge_kws.json"), ("\n".join(LABELS).encode(), "labels.txt")],
)
def test_labels_that_disagree(labels: bytes, expected: str) -> None:
    assert expected in refusal(assemble(PACK, labels=labels))


OUTPUTS = PACK.golden.outputs


@pytest.mark.parametrize(
    ("golden", "expected"),
    [
        (
            {"windows": features(3, FRAMES + 1), "outputs": OUTPUTS},
            "golden windows: expected int8 (1..256, 13, 10), found int8 (3, 14, 10)",
        ),
        ({"windows": features(2), "outputs": OUTPUTS}, "golden outputs: expected int8 (2, 4), found int8 (3, 4)"),
        ({"windows": features(3), "outputs": OUTPUTS[:, :3]}, "golden outputs: expected int8 (3, 4), found int8 (3, 3)"),
        ({"windows": features(3)[:0], "outputs": OUTPUTS[:0]}, "golden windows"),
        ({"windows": features(3)}, "expected arrays outputs, windows, found windows"),
        ({"windows": features(3), "outputs": OUTPUTS, "more": OUTPUTS}, "expected arrays outputs, windows, found more"),
    ],
)
def test_golden_that_does_not_fit(golden: Any, expected: str) -> None:
    assert expected in refusal(assemble(PACK, golden=golden))


def _npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            payload = array if isinstance(array, bytes) else _npy(array)
            archive.writestr(f"{name}.npy", payload)
    return stream.getvalue()


def _npy(array: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    "golden",
    [
        b"",
        b"not a zip",
        b"\0" * 8 + _npz(windows=features(3), outputs=OUTPUTS),
        _npz(windows=features(3).astype(np.float32), outputs=OUTPUTS),
        _npz(windows=np.asfortranarray(features(3)), outputs=OUTPUTS),
        _npz(windows=_npy(np.array([{"a": 1}], object), allow_pickle=True), outputs=OUTPUTS),
        _npz(windows=_npy(features(3), version=(2, 0)), outputs=OUTPUTS),
        _npz(windows=_npy(features(3)) + b"x", outputs=OUTPUTS),
        _npz(windows=_npy(features(3)).replace(b"(3, 13, 10)", b"(3333333, 9,"), outputs=OUTPUTS),
        _npz(windows=b"\x93NUMPY\x01\x00", outputs=OUTPUTS),
    ],
)
def test_golden_of_another_form(golden: bytes) -> None:
    refusal(append_archive(STORED, {**members(PACK), "golden.npz": golden}))


@pytest.mark.parametrize("name", ["labels.txt", "edge_kws.json", "golden.npz"])
def test_missing_member(name: str) -> None:
    parts = members(PACK)
    del parts[name]
    assert "archive: expected members edge_kws.json, golden.npz, labels.txt, found" in refusal(append_archive(STORED, parts))


def test_members_a_pack_does_not_have() -> None:
    assert "found edge_kws.json, golden.npz, labels.txt, more.bin" in refusal(append_archive(STORED, {**members(PACK), "more.bin": b"x"}))
    assert "edge_kws.sig: expected 64 bytes, found 3" in refusal(append_archive(STORED, {**members(PACK), "edge_kws.sig": b"abc"}))
    assert "1..16 members" in refusal(append_archive(STORED, {f"m{i}": b"" for i in range(17)}))
    for name in ("../labels.txt", "/etc/passwd", "ünicode", "a" * 41, "A B"):
        assert "expected a plain name" in refusal(append_archive(STORED, {**members(PACK), name: b"x"}))


def test_metadata_that_names_other_labels() -> None:
    other = metadata().replace(b"labels.txt", b"labels.csv")
    assert "expected labels.txt as axis labels" in refusal(append_archive(wrap(PACK.model, other), members(PACK)))
    assert "TFLite Metadata of another kind" in refusal(append_archive(wrap(PACK.model, b"\0\0\0\0M009"), members(PACK)))
    unnamed = wrap(PACK.model, metadata()).replace(b"TFLITE_METADATA", b"TFLITE_METADATB")
    assert "expected 1 TFLITE_METADATA buffer, found 0" in refusal(append_archive(unnamed, members(PACK)))


def test_another_graph_in_the_prefix() -> None:
    """The last bytes are the hashed model, but the root points at a graph of the attacker's."""
    evil = wrap(tiny_model(step=2), metadata())
    stored = evil + bytes(-len(evil) % 64) + PACK.model
    assert "the graph a stranger would run is not the model of this pack" in refusal(append_archive(stored, members(PACK)))


def test_changed_json_is_noticed_even_with_a_sound_archive() -> None:
    document = json.loads(PACK.info.canonical_json())
    document["decoder"]["thresholds"][2] = "0.6"
    assert "threshold" in refusal(append_archive(STORED, {**members(PACK), "edge_kws.json": json.dumps(document).encode()}))
