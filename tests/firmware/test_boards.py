"""Emulated boards: the counter counts, and the front end writes the host's bytes on every core."""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_kws.errors import BoardError
from edge_kws.frontend import Frontend, FrontendConfig
from edge_kws_boards.emulator import BOARDS, EmulatedBoard, build
from edge_kws_boards.frontend_firmware import frontend_firmware

ROOT = Path(__file__).resolve().parents[2]
CORES = ("m0", "m3", "m4", "m7", "m33", "m55", "rv32")


def installed(name: str) -> EmulatedBoard:
    board = BOARDS[name]
    if (missing := board.missing()) is not None:
        assert "CI" not in os.environ, f"{missing}: `make test` installs them"
        pytest.skip(missing)
    return board


def _program(folder: Path, body: str) -> Path:
    source = folder / "program.c"
    source.write_text(f'#include "board.h"\nint board_main(void) {{\n{body}\n}}\n')
    return source


@pytest.mark.parametrize("name", ["m0", "m4", "m55", "rv32"])
def test_ten_nops_are_ten_instructions(tmp_path: Path, name: str) -> None:
    nops = '__asm__ volatile("nop\\nnop\\nnop\\nnop\\nnop\\nnop\\nnop\\nnop\\nnop\\nnop");'
    body = f"BOARD_REGION_BEGIN(); BOARD_REGION_END(); BOARD_REGION_BEGIN(); {nops} BOARD_REGION_END();"
    body += 'char text[64]; board_write(text, board_read(text, sizeof text)); board_report("answer", 4294967295u); return 0;'
    firmware = build(installed(name), tmp_path / "build", root=ROOT, harness=[_program(tmp_path, body)], sources=[])
    run = firmware.run(b"to and fro")
    assert run.instructions == (0, 10)
    assert run.output == b"to and fro"
    assert run.reports == {"answer": 2**32 - 1}
    assert dict(run.profiles[1]) == {"board_main": 10}
    assert firmware.sizes().code == firmware.sizes().ram == 0


def test_what_goes_wrong_on_a_board_is_told(tmp_path: Path) -> None:
    board = installed("m4")
    for body, told in (("return 7;", "exit status 7"), ('__asm__ volatile("udf #0"); return 0;', "fault"), ("for (;;) {}", "did not end")):
        firmware = build(board, tmp_path / "build", root=ROOT, harness=[_program(tmp_path, body)], sources=[])
        with pytest.raises(BoardError, match=told):
            firmware.run(timeout_s=3)
    with pytest.raises(BoardError, match="undeclared"):
        build(board, tmp_path / "build", root=ROOT, harness=[_program(tmp_path, "return nothing;")], sources=[])


def test_stack_is_measured(tmp_path: Path) -> None:
    source = tmp_path / "program.c"
    source.write_text(
        '#include "board.h"\n'
        "__attribute__((noinline)) static void use(void) { volatile char deep[600]; deep[0] = 1; deep[599] = deep[0]; }\n"
        'int board_main(void) { board_paint_stack(); use(); board_report("stack", board_stack_used()); return 0; }\n'
    )
    run = build(installed("m4"), tmp_path / "build", root=ROOT, harness=[source], sources=[]).run()
    assert 600 <= run.reports["stack"] < 680


def _hard_pcm() -> NDArray[np.int16]:
    """Silence, single bits, full scale of either sign, a square wave, a sweep, faint and loud noise."""
    rng = np.random.default_rng(5)
    n = np.arange(1600)
    parts = [
        np.zeros(800),
        np.where(n % 400 == 0, -1, 0),
        np.full(1600, -32768),
        np.where(n // 37 % 2 == 0, -32768, 32767),
        np.where(n % 480 < 3, -32768, 0),
        20000 * np.sin(n * n * 7e-4),
        rng.integers(-2, 3, 1600),
        rng.integers(-32768, 32768, 3200),
        np.where(rng.integers(0, 2, 1600) > 0, 32767, -32768),
    ]
    pcm = np.concatenate(parts).astype(np.int16)
    return pcm[: len(pcm) // 160 * 160]


@pytest.mark.parametrize("name", CORES)
def test_front_end_writes_the_hosts_bytes(tmp_path: Path, name: str) -> None:
    pcm = _hard_pcm()
    for n, config in enumerate(
        (FrontendConfig(), FrontendConfig(window_ms=25, mel_bins=64, noise_reduction=True, pcan=True, feature_divisor=666))
    ):
        run = frontend_firmware(installed(name), config, tmp_path / str(n), root=ROOT).run(pcm.tobytes())
        assert run.output == Frontend(config).process(pcm)[0].tobytes()
        assert run.reports["ram"] <= 4096


@pytest.mark.parametrize("samples", [161, 166, 505, 511, 512])
def test_window_and_fft_of_every_core(tmp_path: Path, samples: int) -> None:
    """Windows that are no multiple of 8 samples too, loud ones too, through the C interface: portable, DSP and Helium code agree."""
    source = tmp_path / "odd.c"
    source.write_text(f"""#include "board.h"
#include "window.h"
#include "fft.h"
static int16_t pcm[512], window[512], bins[512] __attribute__((aligned(4))), twiddle[768];
int board_main(void) {{
  board_read(twiddle, sizeof twiddle);
  const ekws_spectrum_config_t config = {{{samples}, 160, window, twiddle}};
  while (board_read(window, sizeof window) != 0) {{
    board_read(pcm, sizeof pcm);
    const unsigned shift = ekws_window_apply(&config, pcm, bins);
    board_write(&shift, sizeof shift);
    board_write(bins, sizeof bins);
    ekws_fft_real_s16(bins, twiddle, shift);
    board_write(bins, sizeof bins);
  }}
  return 0;
}}
""")
    rng = np.random.default_rng(samples)
    n = np.arange(512)
    frames: list[NDArray[np.int16]] = []
    for trial in range(60):
        loud = trial % 2 == 0  # a rectangular window and full scale: sums come as close to overflow as they can
        window = np.full(512, 4096) if loud else rng.integers(0, 4097, 512)
        wave = np.sin(2 * np.pi * (rng.integers(0, 257) + 0.01 * (trial % 3)) * n / 512 + rng.uniform(0, 7))
        pcm = np.where(wave >= 0, 32767, -32768) if loud else rng.integers(-32768, 32768, 512) >> int(rng.integers(0, 16))
        frames += [window.astype(np.int16), pcm.astype(np.int16)]
    angle = 2 * np.pi * np.arange(384) / 512
    twiddle = np.floor(np.stack([np.cos(angle), -np.sin(angle)], 1) * 32767 + 0.5).astype(np.int16)
    firmware = ROOT / "firmware"
    include = [firmware / "include", firmware / "src"]
    data, results = twiddle.tobytes() + np.concatenate(frames).tobytes(), list[bytes]()
    for name in ("m3", "m4", "m55"):
        sources = [*firmware.glob("src/fft*.c"), *firmware.glob("src/window*.c")]
        program = build(installed(name), tmp_path / name, root=ROOT, harness=[source], sources=sources, include=include)
        results.append(program.run(data).output)
    assert len(results[0]) == 60 * 2052
    assert results[0] == results[1] == results[2]
