"""From packs to a board that hears its words: built, started under QEMU, given speech over its serial line, every byte compared."""

import dataclasses
import hashlib
import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edge_kws.cli.main import main
from edge_kws.errors import BoardError
from edge_kws.pack import Pack
from edge_kws.resources import demo_speech
from edge_kws_boards.contents import BoardModel, compile_packs
from edge_kws_boards.description import find_description
from edge_kws_boards.emulation import Emulation
from edge_kws_boards.flash import emulate, read_build
from edge_kws_boards.image import build_image
from edge_kws_boards.link import BoardLink
from edge_kws_boards.messages import Kind, Log, Stats, pcm_body
from edge_kws_boards.model_image import build_model_image
from edge_kws_boards.update import send_image
from edge_kws_boards.verify import expect, verify
from tests.firmware.test_app import LOUD, burst
from tests.firmware.test_boards import installed

MARVIN_S = (3.2, 5.4)
"""Where somebody says it in the demo's speech."""


def spoken(start_s: float = MARVIN_S[0], end_s: float = MARVIN_S[1]) -> NDArray[np.int16]:
    pcm = np.asarray(soundfile.read(demo_speech(), dtype="int16")[0], np.int16)
    return pcm[round(start_s * 16_000) : round(end_s * 16_000)]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.wav"
    soundfile.write(path, spoken(), 16_000)
    return path


@contextmanager
def running(board: str, models: list[BoardModel], folder: Path) -> Generator[Emulation]:
    described = find_description(board)
    with Emulation(described, build_image(described, models, folder).elf) as emulation:
        yield emulation


def test_a_pack_becomes_a_board_that_wakes_up(tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands as a person runs them: build, flash, verify, monitor."""
    installed("m4")
    out = tmp_path / "firmware"
    assert main(["build", "marvin", "--board", "qemu-m4", "--out", str(out)]) == 0
    report = capsys.readouterr().out
    assert all(word in report for word in ("marvin", "front end, app, start-up", "stack", "of what qemu-m4 has", "edge-kws flash"))
    assert {path.name for path in out.iterdir()} == {"firmware.elf", "firmware.bin", "build.json"}
    size = json.loads((out / "build.json").read_text())["size"]
    assert (out / "firmware.bin").stat().st_size == pytest.approx(size["flash_bytes"], abs=64)
    with emulate(read_build(out), None) as emulation:
        assert main(["verify", "marvin", str(clip), "--port", emulation.port]) == 0
        told = capsys.readouterr().out
        assert "every byte equals the host's" in told
        assert [line.split()[2:4] for line in told.splitlines() if " s  " in line] == [["marvin", "marvin"]]
        assert main(["monitor", "--port", emulation.port, "--jsonl", "--input", str(clip)]) == 0
        records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (event,) = expect(Pack.load("marvin"), spoken()).events
    (found,) = [record for record in records if record["type"] == "event"]
    assert (found["label"], found["start"], found["end"]) == (event.label, event.start, event.end)
    assert found["score"] == pytest.approx(event.score, abs=1e-6)
    assert {"level", "scores", "stats"} <= {record["type"] for record in records}


def _verified(board: str, packs: list[str], pcm: NDArray[np.int16], folder: Path) -> None:
    """Each pack on the board equals the host; its events are those of the host, at least one of them."""
    installed(board.removeprefix("qemu-"))
    models = compile_packs(packs, find_description(board).core)
    with running(board, models, folder) as emulation, BoardLink(emulation.port) as link:
        assert link.info.board == board
        heard = [verify(link, model.pack, pcm) for model in models]
        stats = heard[-1].stats
        assert sum(len(found.events) for found in heard) >= 1
        assert (stats.corrupt, stats.lost, stats.gaps, stats.dropped_frames, stats.restarts) == (0, 0, 0, 0, 0)
        assert 0 < stats.stack_used < stats.stack_bytes - 64
        assert link.received.corrupt == link.received.lost == 0


@pytest.mark.parametrize("board", ["qemu-stm32f100", "qemu-rv32"])
def test_the_smallest_board_and_another_core_hear_a_loud_sound(board: str, tmp_path: Path) -> None:
    pack = str(LOUD.write(tmp_path / "loudness.tflite"))
    _verified(board, [pack], burst(18_000), tmp_path / "firmware")


@pytest.mark.slow
@pytest.mark.parametrize("board", ["qemu-an511", "qemu-m3", "qemu-m4", "qemu-m7", "qemu-m33", "qemu-m55", "qemu-stm32f405", "qemu-rv32"])
def test_two_packs_share_a_front_end(board: str, tmp_path: Path) -> None:
    _verified(board, ["commands", "marvin"], spoken(), tmp_path / "firmware")


@pytest.mark.slow
@pytest.mark.parametrize("board", ["qemu-m0", "qemu-m0plus"])
def test_the_smallest_cores_wake_up(board: str, tmp_path: Path) -> None:
    _verified(board, ["marvin"], spoken(), tmp_path / "firmware")


def test_a_running_board_gets_a_new_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another model comes on top and hears what the host hears; one of the same name takes its place, each time from the other slot."""
    installed("m4")
    pack = str(LOUD.write(tmp_path / "loudness.tflite"))
    with running("qemu-m4", compile_packs([pack], "cortex-m4"), tmp_path / "firmware") as emulation:
        for slot in (1, 2):
            assert main(["update", "marvin", "--port", emulation.port]) == 0
            assert capsys.readouterr().out.endswith(f"from slot {slot}\n")
        with BoardLink(emulation.port) as link:
            assert [(linked.model.name, linked.model.slot) for linked in link.models] == [("loudness", 0), ("marvin", 2)]
            assert len(verify(link, Pack.load("marvin"), spoken()).events) == 1


def test_a_model_that_does_not_suit_a_board_is_refused_and_the_old_one_runs_on(tmp_path: Path) -> None:
    installed("m4")
    pack = LOUD.write(tmp_path / "loudness.tflite")
    board = find_description("qemu-m4")
    image = build_model_image(board, compile_packs(["marvin"], "cortex-m4")[0])
    # A front end that is not on the board: its digest lies behind that of the model.
    at = image.index(bytes.fromhex(Pack.load("marvin").frontend.digest()))
    other = bytearray(image)
    other[at] ^= 1
    other[16:48] = hashlib.sha256(other[48:]).digest()
    with running("qemu-m4", compile_packs([str(pack)], "cortex-m4"), tmp_path / "firmware") as emulation, BoardLink(emulation.port) as link:
        for wrong, told in ((image[:-1] + bytes([image[-1] ^ 1]), "received another image"), (bytes(other), "has no front end for this")):
            with pytest.raises(BoardError, match=told):
                send_image(link, wrong)
        assert len(verify(link, LOUD, burst(18_000)).events) == 1


def test_what_does_not_fit_is_refused_and_told_what_to_drop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    installed("m0")
    out = tmp_path / "firmware"
    assert main(["build", "commands", "marvin", "--board", "qemu-m0", "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "of RAM" in error
    assert error.endswith("; drop marvin\n")
    assert not out.exists()
    assert main(["build", "commands", "--board", "qemu-stm32f100", "--out", str(out)]) == 2
    assert "no pack of these fits alone" in capsys.readouterr().err


def _spoiled(body: str) -> list[BoardModel]:
    """A pack whose compiled model does something else than push."""
    (model,) = compile_packs(["marvin"], "cortex-m4")
    source = model.compiled.source.replace("{ return tick(state, row, output); }", f"{{ (void)tick; {body} }}")
    assert source != model.compiled.source
    return [BoardModel(model.pack, dataclasses.replace(model.compiled, source=source))]


@pytest.mark.parametrize(
    ("body", "cause", "number"),
    [
        ('for (;;) { __asm__ volatile(""); }', "started anew by the watchdog", 2),
        ("(void)state, (void)row, (void)output; __builtin_trap();", "started anew after a fault", 1),
    ],
)
def test_a_board_that_hangs_or_faults_starts_anew_and_says_so(tmp_path: Path, body: str, cause: str, number: int) -> None:
    installed("m4")
    unused = "" if body.startswith("(void)") else "(void)state, (void)row, (void)output; "
    with running("qemu-m4", _spoiled(unused + body), tmp_path) as emulation, BoardLink(emulation.port) as link:
        for at in range(0, 600, 120):  # the first frame goes to the model
            link.send(Kind.PCM, pcm_body(at, np.zeros(120, np.int16)))
        assert Log(1, cause) in link.messages(20)
        link.synchronise()
        link.send(Kind.GET_STATS, b"\0")
        stats = next(message for message in link.messages(20) if isinstance(message, Stats))
        assert (stats.restarts, stats.restart_cause) == (1, number)
