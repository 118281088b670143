"""What a person may ask the service and tell it, and what it answers."""

import io
import json
import wave

import numpy as np
import pytest

from edge_kws.errors import ConfigError, EdgeKwsError
from edge_kws.service import overload
from edge_kws.service.config import parse_config
from edge_kws.service.packs import load_packs
from edge_kws.service.records import Changed
from tests.golden.loudness_pack import loudness_pack
from tests.service.fed import BURST, PATIENCE_S, Running, until

KEEPING = "[retention]\nclips = true\nbefore_s = 0.5\nafter_s = 0.1\n"


@pytest.fixture
def service(tmp_path):
    with Running(tmp_path, "") as running:
        yield running


@pytest.fixture
def keeping(tmp_path):
    with Running(tmp_path, KEEPING) as running:
        yield running


def samples(wav):
    with wave.open(io.BytesIO(wav)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def test_the_snapshot_is_json_and_tells_the_state(service):
    service.burst()
    snapshot = json.loads(json.dumps(service.service.snapshot().to_json(), allow_nan=False))
    (entry,) = snapshot["inputs"]
    assert (entry["name"], entry["status"], entry["events"]) == ("kitchen", "listening", 1)
    (pack,) = entry["packs"]
    assert (pack["labels"], pack["fires"], pack["signature"]) == (["_quiet_", "loud"], [False, True], "unsigned")
    assert len(pack["scores"]) == 2
    assert snapshot["store"]["retention"] is False
    assert snapshot["rss_bytes"] > 1e6


def test_without_retention_audio_is_in_memory_only(service, tmp_path):
    event = service.burst()
    until(lambda: service.store.event(event.id) is not None)
    wav = service.service.clip(event.id)
    np.testing.assert_array_equal(samples(wav), service.source.given[max(0, event.end - 32_000) : event.end + 16_000][: len(samples(wav))])
    assert service.service.clip(event.id + 1) is None
    label = service.service.missed("kitchen", "loudness", "loud")
    assert service.store.labels() == [label]
    assert service.service.label(event.id, "false_wake").verdict == "false_wake"
    assert not list(tmp_path.rglob("*.wav"))


def test_an_event_of_another_run_has_no_audio_in_memory(tmp_path):
    with Running(tmp_path, "") as service:
        event = service.burst()
        until(lambda: service.store.event(event.id) is not None)
    with Running(tmp_path, "") as service:
        service.burst()
        assert service.service.clip(event.id) is None


def test_with_retention_the_clip_is_kept_sample_by_sample_and_filed_when_labelled(keeping, tmp_path):
    event = keeping.burst()
    until(lambda: keeping.store.clips == 1)
    np.testing.assert_array_equal(samples(keeping.service.clip(event.id)), keeping.source.given[event.end - 8000 : event.end + 1600])
    keeping.service.label(event.id, "false_wake")
    label = keeping.service.missed("kitchen", "loudness", "loud")
    assert len(samples(keeping.store.clip(label.id))) == min(64_000, len(BURST))
    filed = sorted(path.relative_to(tmp_path / "state").parent.as_posix() for path in tmp_path.rglob("*.wav"))
    assert filed == ["filed/loudness/_unknown_", "filed/loudness/loud"]


def test_a_threshold_is_in_force_at_once_and_after_a_restart_until_taken_back(tmp_path):
    with Running(tmp_path, "") as service:
        service.burst()
        service.service.set_threshold("kitchen", "loudness", 0.9999)
        events = service.service.snapshot().inputs[0].events
        service.source.give(BURST // 20)
        until(lambda: service.service.snapshot().inputs[0].position == 2 * len(BURST))
        assert service.service.snapshot().inputs[0].events == events
    with Running(tmp_path, "") as service:
        pack = service.service.snapshot().inputs[0].packs[0]
        assert (pack.threshold, pack.configured_threshold) == (0.9999, 0.6)
        service.service.set_threshold("kitchen", "loudness", None)
        assert service.service.snapshot().inputs[0].packs[0].threshold == 0.6
    with Running(tmp_path, "") as service:
        assert service.service.snapshot().inputs[0].packs[0].threshold == 0.6


@pytest.mark.parametrize(
    "ask",
    [
        lambda s: s.set_threshold("attic", "loudness", 0.5),
        lambda s: s.set_threshold("kitchen", "no", 0.5),
        lambda s: s.set_threshold("kitchen", "loudness", 0.0),
        lambda s: s.set_threshold("kitchen", "loudness", float("nan")),
        lambda s: s.missed("kitchen", "loudness", "no"),
        lambda s: s.columns("attic"),
    ],
)
def test_what_does_not_exist_is_refused(service, ask):
    with pytest.raises(ConfigError, match="expected"):
        ask(service.service)


def test_a_machine_too_slow_switches_off_the_least_important_and_says_so(tmp_path, monkeypatch):
    loudness_pack("scenes").write(tmp_path / "scenes.tflite")
    monkeypatch.setattr(overload, "_HIGH_LOAD", -1.0)
    text = f'[[inputs.packs]]\npack = "{tmp_path / "scenes.tflite"}"\nunsigned = true\npriority = 1\n'
    with Running(tmp_path, text) as service:
        service.burst()
        while not (isinstance(record := service.feed.get(PATIENCE_S), Changed) and "scenes" in record.detail):
            assert record is not None
            service.source.give(BURST)
        assert "too slow: switched off scenes" in record.detail
        assert [pack.shed for pack in service.service.snapshot().inputs[0].packs] == [False, True]
        until(lambda: service.source.queue.empty())
        monkeypatch.setattr(overload, "_HIGH_LOAD", 1e9)
        monkeypatch.setattr(overload, "_LOW_LOAD", 1e9)
        for _ in range(6):
            service.source.give(BURST)
        until(lambda: not service.service.snapshot().inputs[0].packs[1].shed)


def test_packs_from_elsewhere_are_loaded_only_when_trusted(tmp_path):
    cryptography = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    from cryptography.hazmat.primitives import serialization

    from edge_kws.pack_signature import sign

    key = cryptography.Ed25519PrivateKey.generate()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(public)
    pack = loudness_pack()
    unsigned = pack.write(tmp_path / "unsigned.tflite")
    signed = pack.with_signature(sign(pack, private)).write(tmp_path / "signed.tflite")
    keyed = f'public_key = "{tmp_path / "key.pem"}"'
    for path, extra, expected in (
        (signed, keyed, "signed"),
        (unsigned, "unsigned = true", "unsigned"),
        (unsigned, keyed, None),
        (unsigned, "", None),
        (signed, "", None),
        (signed, f'public_key = "{tmp_path / "none.pem"}"', None),
    ):
        config = parse_config(f'[[inputs]]\nname = "a"\n[[inputs.packs]]\npack = "{path}"\n{extra}\n', "x")
        if expected is None:
            with pytest.raises(EdgeKwsError, match="expected"):
                load_packs(config.inputs[0].packs, "x")
        else:
            assert load_packs(config.inputs[0].packs, "x")[0].signature == expected
