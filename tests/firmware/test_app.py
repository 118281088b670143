"""The firmware's app on this machine: what it answers, what it loses and says so, and that nothing on the line brings it down."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_kws.frontend import Frontend
from edge_kws_boards.messages import (
    Audio,
    Features,
    Fired,
    Info,
    Kind,
    Label,
    Level,
    Log,
    Lost,
    Model,
    Received,
    Result,
    Scores,
    Stats,
    Status,
    Stream,
    hello_body,
    pcm_body,
)
from edge_kws_boards.verify import expect
from tests.firmware.host_app import BOARD, HERE, HostApp, app_sources
from tests.firmware.test_protocol import compiler
from tests.golden.loudness_pack import LABELS, loudness_pack

LOUD = loudness_pack()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> HostApp:
    folder = tmp_path_factory.mktemp("app")
    packs = [loudness_pack(name).write(folder / f"{name}.tflite") for name in ("loudness", "second")]
    return HostApp(folder, packs, compiler("cc"))


@pytest.fixture
def app(built: HostApp) -> HostApp:
    built.start()
    return built


def burst(samples: int = 24_000) -> NDArray[np.int16]:
    """Quiet, then half a second of noise, then quiet."""
    pcm = np.zeros(max(samples, 16_000), np.int16)
    pcm[8000:16000] = np.random.default_rng(0).integers(-6000, 6000, 8000)
    return pcm[:samples]


def pcm_frames(app: HostApp, pcm: NDArray[np.int16], position: int = 0) -> bytes:
    return b"".join(app.frame(Kind.PCM, pcm_body(position + at, pcm[at : at + 120])) for at in range(0, len(pcm), 120))


def test_it_introduces_itself(app: HostApp) -> None:
    assert app.start() == [Log(0, "started")]
    info, *rest, last = app.give(app.frame(Kind.HELLO, hello_body(77)))
    assert isinstance(info, Info)
    assert (info.token, info.board, info.models, info.frontends) == (77, BOARD.name, 2, 1)
    assert (info.receive_bytes, info.ring_samples) == (BOARD.port.receive_bytes, BOARD.port.ring_samples)
    models = [message for message in rest if isinstance(message, Model)]
    assert [model.name for model in models] == ["loudness", "second"]
    assert models[0].digest == LOUD.info.model_sha256
    assert models[0].frontend_digest == LOUD.frontend.digest()
    assert [label.text for label in rest if isinstance(label, Label)] == [*LABELS, *LABELS]
    assert last == Result(Kind.HELLO, Status.OK)


def test_it_hears_what_the_host_hears(app: HostApp) -> None:
    """Features, posteriors, averages and events of both models, whatever chunks the sound came in."""
    pcm = burst()
    app.give(app.frame(Kind.SUBSCRIBE, bytes([Stream.FEATURES | Stream.SCORES])))
    said = app.give(pcm_frames(app, pcm))
    expected = expect(LOUD, pcm)
    features = np.stack([message.features for message in said if isinstance(message, Features)])
    assert np.array_equal(features, expected.features)
    for model in (0, 1):
        scores = [message for message in said if isinstance(message, Scores) and message.model == model]
        assert [score.step for score in scores] == list(range(len(expected.posteriors)))
        assert np.array_equal(np.stack([score.posteriors for score in scores]), expected.posteriors)
        assert np.array_equal(np.stack([score.averages for score in scores]), expected.averages)
        fired = [message for message in said if isinstance(message, Fired) and message.model == model]
        assert [(f.start, f.end, f.score / 65536) for f in fired] == [(e.start, e.end, e.score) for e in expected.events]
        assert len(fired) == 1


def test_levels_and_audio_are_what_was_sent(app: HostApp) -> None:
    pcm = burst()
    app.give(app.frame(Kind.SUBSCRIBE, bytes([Stream.LEVELS | Stream.AUDIO])))
    said = app.give(pcm_frames(app, pcm))
    audio = [message for message in said if isinstance(message, Audio)]
    assert np.array_equal(np.concatenate([message.samples for message in audio]), pcm)
    assert [message.position for message in audio] == list(np.cumsum([0, *(len(message.samples) for message in audio[:-1])]))
    levels = [message for message in said if isinstance(message, Level)]
    assert len(levels) == len(pcm) // 2048
    for level in levels:
        heard = pcm[level.position - 2048 : level.position].astype(np.int64)
        assert level.mean_square == (heard**2).sum() // 2048
        assert level.peak == abs(heard).max()


def test_lost_sound_is_a_gap_and_forgets_what_was_before(app: HostApp) -> None:
    pcm = burst()
    app.give(app.frame(Kind.SUBSCRIBE, bytes([Stream.FEATURES])))
    said = app.give(pcm_frames(app, pcm[:6000]) + pcm_frames(app, pcm[6960:], 6960))
    at = next(n for n, message in enumerate(said) if isinstance(message, Lost))
    assert said[at] == Lost(6000, 6960, 1)
    before = [message.features for message in said[:at] if isinstance(message, Features)]
    after = [message for message in said[at:] if isinstance(message, Features)]
    assert np.array_equal(np.stack(before), Frontend(LOUD.frontend).process(pcm[:6000])[0])
    assert np.array_equal(np.stack([message.features for message in after]), Frontend(LOUD.frontend).process(pcm[6960:])[0])
    assert after[0].frame == 0
    fired = [message for message in said if isinstance(message, Fired)]
    expected = expect(LOUD, pcm[6960:]).events
    assert [(f.start, f.end) for f in fired if f.model == 0] == [(e.start + 6960, e.end + 6960) for e in expected]


def test_sound_heard_before_is_refused_and_reset_begins_again(app: HostApp) -> None:
    app.give(pcm_frames(app, burst(1200)))
    assert Result(Kind.PCM, Status.OUT_OF_ORDER) in app.give(app.frame(Kind.PCM, pcm_body(0, burst(120))))
    assert Result(Kind.RESET, Status.OK) in app.give(app.frame(Kind.RESET))
    assert not any(isinstance(message, Result | Lost) for message in app.give(pcm_frames(app, burst(1200))))


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        (Kind.HELLO, b"", Status.MALFORMED),
        (Kind.RESET, b"\0", Status.MALFORMED),
        (Kind.SUBSCRIBE, b"", Status.MALFORMED),
        (Kind.PCM, b"\0\0\0", Status.MALFORMED),
        (Kind.PCM, b"\0\0\0\0\0", Status.MALFORMED),
        (Kind.UPDATE_BEGIN, b"", Status.MALFORMED),
        (Kind.UPDATE_BEGIN, bytes(4), Status.UNSUPPORTED),  # this board has no slots
        (Kind.UPDATE_DATA, bytes(12), Status.UNSUPPORTED),
        (Kind.UPDATE_COMMIT, b"", Status.UNSUPPORTED),
        (0x7F, b"", Status.UNKNOWN),
        (0, b"", Status.UNKNOWN),
    ],
)
def test_what_it_does_not_take_is_refused(app: HostApp, kind: int, body: bytes, status: Status) -> None:
    assert app.give(app.frame(kind, body)) == [Result(kind, status)]


def test_an_echo_is_no_request(app: HostApp) -> None:
    assert app.give(app.frame(Kind.RESULT, b"\1\0")) == []


def test_stats_count_what_happened(app: HostApp) -> None:
    app.give(b"\x05garbage\0" + app.frame(Kind.RESET))
    app.frame(Kind.RESET)  # never sent
    said = app.give(pcm_frames(app, burst(16_000)) + app.frame(Kind.GET_STATS, b"\1") + app.frame(Kind.GET_STATS, b"\0"))
    first, second = (message for message in said if isinstance(message, Stats))
    assert (first.corrupt, first.lost, first.hops, first.gaps, first.overrun_samples) == (1, 1, 100, 0, 0)
    assert first.hop_most_us >= first.hop_mean_us > 0
    assert first.arena_used <= first.arena_bytes < first.arena_used + 64
    assert (second.hops, second.hop_most_us) == (0, 0)
    received = [message.received for message in said if isinstance(message, Received)]
    assert max(np.diff(received)) <= BOARD.port.receive_bytes // 4 + 32


def test_a_line_that_stalls_drops_whole_frames_and_recovers(app: HostApp) -> None:
    app.give(app.frame(Kind.SUBSCRIBE, bytes([Stream.FEATURES])))
    app.stall(1000)
    app.give(pcm_frames(app, burst(8000)))
    app.stall(2**32 - 1)
    said = app.give(app.frame(Kind.GET_STATS, b"\0"))
    (stats,) = (message for message in said if isinstance(message, Stats))
    assert stats.dropped_frames > 0
    assert app.counts.corrupt <= 1
    assert app.counts.lost > 0
    assert stats.hops == 50


@pytest.mark.slow
def test_fuzzing_the_app_finds_nothing(tmp_path: Path) -> None:
    """LibFuzzer with ASan and UBSan: requests, sound, damage and stalls of any kind."""
    pack = LOUD.write(tmp_path / "loudness.tflite")
    sources, include = app_sources(tmp_path, [pack])
    binary = tmp_path / "fuzz"
    flags = ["-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=undefined", "-std=c99", *include]
    files = [HERE / "fuzz_app.c", *sources, tmp_path / "loudness" / "model.c"]
    command = [compiler("clang"), *flags, f"-I{tmp_path / 'loudness'}", *map(str, files), "-o", str(binary)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode != 0 and "CI" not in os.environ and "fuzzer" in built.stderr:
        pytest.skip("clang has no fuzzer runtime here (libclang-rt-dev)")
    assert built.returncode == 0, built.stderr
    run = [str(binary), "-runs=4000", "-seed=1", "-max_len=160", f"-artifact_prefix={tmp_path}/"]
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
