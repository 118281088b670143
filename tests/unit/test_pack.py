"""A pack: written, read back, named, replayed, signed."""

import hashlib
import io
import json
import os
import subprocess
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_kws.errors import PackError
from edge_kws.pack import Golden, Measurement, Pack
from edge_kws.pack_flatbuffer import unwrap, wrap
from edge_kws.pack_signature import sign, verify_signature
from edge_kws.runners.litert import LiteRtRunner
from tests.golden.spoiled_packs import metadata
from tests.golden.tiny_model import FRAMES, FRONTEND, LABELS, features, tiny_model, tiny_pack


@pytest.fixture(scope="module")
def pack() -> Pack:
    return tiny_pack()


def test_round_trip(pack: Pack, tmp_path: Path) -> None:
    path = pack.write(tmp_path / "tiny.tflite")
    found = Pack.load(path)
    assert found.path == path
    assert found.info == pack.info
    assert found.model == pack.model == tiny_model()
    assert found.labels == LABELS
    assert found.frontend == FRONTEND
    assert found.decoder == pack.decoder
    assert (found.window_frames, found.inference_stride_hops) == (FRAMES, 2)
    assert np.array_equal(found.golden.windows, features(3))
    assert np.array_equal(found.golden.outputs, pack.golden.outputs)
    assert found.to_bytes() == path.read_bytes() == tiny_pack().to_bytes()  # the same pack is always the same bytes
    found.verify(deep=True)


def test_write_leaves_nothing_half_done(pack: Pack, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="absent"):
        pack.write(tmp_path / "absent" / "tiny.tflite")
    target = tmp_path / "folder.tflite"
    target.mkdir()
    with pytest.raises(OSError, match="folder"):
        pack.write(target)
    assert list(tmp_path.iterdir()) == [target]


def test_a_strangers_interpreter_runs_the_file(pack: Pack, tmp_path: Path) -> None:
    path = pack.write(tmp_path / "tiny.tflite")
    interpreter: Any = import_module("ai_edge_litert.interpreter").Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pack.golden.windows[:1, ..., None])
    interpreter.invoke()
    assert interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).shape == (1, len(LABELS))
    stored = path.read_bytes()
    for window, outputs in zip(pack.golden.windows, pack.golden.outputs, strict=True):
        assert np.array_equal(LiteRtRunner(stored, reference=True).run(window), outputs)


def test_the_schemas_own_reader_sees_the_same_graph(pack: Pack) -> None:
    schema: Any = import_module("ai_edge_litert.schema_py_generated")
    before, after = (schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0)) for data in (pack.model, pack.to_bytes()))
    builders: list[bytes] = []
    after.metadata = None
    after.buffers.pop()
    for model in (before, after):
        builder: Any = import_module("flatbuffers").Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        builders.append(bytes(builder.Output()))
    assert builders[0] == builders[1]


def test_the_model_hash_is_that_of_the_exported_file(pack: Pack, tmp_path: Path) -> None:
    """What the README tells people to type: cut the model off the file and hash it."""
    path = pack.write(tmp_path / "tiny.tflite")
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["labels.txt", "edge_kws.json", "golden.npz"]
        assert archive.read("labels.txt").decode().splitlines() == list(LABELS)
        info = json.loads(archive.read("edge_kws.json"))
        start = min(member.header_offset for member in archive.infolist())
        with np.load(io.BytesIO(archive.read("golden.npz")), allow_pickle=False) as arrays:
            assert np.array_equal(arrays["windows"], pack.golden.windows)
            assert hashlib.sha256(arrays["windows"].tobytes() + arrays["outputs"].tobytes()).hexdigest() == info["golden_sha256"]
    stored = path.read_bytes()[:start]
    assert hashlib.sha256(stored[-info["model_bytes"] :]).hexdigest() == info["model_sha256"] == hashlib.sha256(tiny_model()).hexdigest()


def test_wrapping_keeps_alignment_and_is_undone() -> None:
    model = tiny_model()
    for size in (8, 15, 16, 17, 100, 1000):
        payload = os.urandom(size)
        stored = wrap(model, payload)
        assert (len(stored) - len(model)) % 64 == 0
        assert stored.index(payload) % 16 == 0
        assert unwrap(stored, len(model)) == (model, payload)
        LiteRtRunner(stored)


def test_wrapping_a_model_with_other_metadata_keeps_it() -> None:
    schema: Any = import_module("ai_edge_litert.schema_py_generated")

    def add_runtime_version(model: Any) -> None:
        entry, buffer = schema.MetadataT(), schema.BufferT()
        buffer.data = list(b"1.5.0")
        entry.name, entry.buffer = b"min_runtime_version", len(model.buffers)
        model.buffers.append(buffer)
        model.metadata = [entry]

    stored = wrap(tiny_model(edit=add_runtime_version), metadata())
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(stored, 0))
    assert [entry.name for entry in model.metadata] == [b"min_runtime_version", b"TFLITE_METADATA"]
    assert bytes(model.buffers[model.metadata[0].buffer].data) == b"1.5.0"
    assert bytes(model.buffers[model.metadata[1].buffer].data) == metadata()
    with pytest.raises(PackError, match="already carries TFLITE_METADATA"):
        wrap(stored, metadata())


def test_load_by_name(pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack.write(tmp_path / "tiny.tflite")
    monkeypatch.setattr("edge_kws.pack.shipped_packs", lambda: {"tiny": path})
    assert Pack.load("tiny").path == path
    for absent, found in (("nothing", "neither"), (tmp_path, "a folder"), ("x" * 5000, "neither"), ("a\0b", "neither")):
        with pytest.raises(PackError) as refused:
            Pack.load(absent)
        assert f"expected a shipped pack (tiny) or a pack file, found {found}" in str(refused.value)


def test_new_figures_and_signature(pack: Pack) -> None:
    measured = Measurement(name="top1", value=0.5, interval=(0.4, 0.6), interval_kind="wilson", count=100, data="d", runner="r")
    found = pack.with_signature(b"s" * 64).with_quality([measured])
    assert found.info.quality == [measured]
    assert found.signature is None  # it was over the old figures
    assert Pack.read(found.to_bytes()).info.quality == [measured]
    with pytest.raises(PackError, match="64 bytes, found 3"):
        pack.with_signature(b"abc")


def test_deep_verify_finds_another_output(pack: Pack) -> None:
    outputs = pack.golden.outputs.copy()
    outputs[1, 2] ^= 1
    with pytest.raises(PackError, match=r"golden window 1, class 2: expected -?\d+, found -?\d+ from LiteRT BUILTIN_REF"):
        tiny_pack(golden=Golden(pack.golden.windows, outputs))


def _keys() -> tuple[bytes, bytes]:
    ed25519: Any = import_module("cryptography.hazmat.primitives.asymmetric.ed25519")
    serialization: Any = import_module("cryptography.hazmat.primitives.serialization")
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private, public


def test_signature(pack: Pack) -> None:
    pytest.importorskip("cryptography", reason="cryptography is not installed")
    private, public = _keys()
    signed = Pack.read(pack.with_signature(sign(pack, private)).to_bytes())
    verify_signature(signed, public)

    with pytest.raises(PackError, match="found another"):
        verify_signature(signed, _keys()[1])
    for other in (signed.with_quality([]), tiny_pack(tiny_model(step=2))):
        with pytest.raises(PackError, match="found another"):
            verify_signature(other.with_signature(signed.signature or b""), public)
    with pytest.raises(PackError, match="expected a signature, found none"):
        verify_signature(pack, public)
    for key in (b"", b"no key", public):
        with pytest.raises(PackError, match="expected an unencrypted PEM private key"):
            sign(pack, key)
    with pytest.raises(PackError, match="expected a PEM public key"):
        verify_signature(signed, private)


def test_openssl_checks_our_signature(pack: Pack, tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="cryptography is not installed")
    private, public = _keys()
    for name, data in (
        ("key.pem", public),
        ("signature", sign(pack, private)),
        ("message", b"edge_kws pack 1\n" + bytes.fromhex(pack.info.model_sha256) + pack.info.canonical_json()),
    ):
        (tmp_path / name).write_bytes(data)
    call = "openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in message -sigfile signature"
    try:
        done = subprocess.run(call.split(), cwd=tmp_path, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    assert done.returncode == 0, done.stderr
