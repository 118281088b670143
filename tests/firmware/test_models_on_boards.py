"""A shipped pack, compiled and streaming on emulated cores: LiteRT's bytes at every step."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from edge_kws.pack import Pack
from edge_kws_boards.model_firmware import compile_model, model_firmware
from tests.firmware.test_boards import installed

ROOT = Path(__file__).resolve().parents[2]
PACK = ROOT / "models" / "commands.tflite"


@pytest.mark.parametrize("name", ["m0plus", "m3", "m4", "m33", "m55", "rv32"])
def test_commands_stream_with_litert_bytes(tmp_path: Path, name: str) -> None:
    board, pack, model = installed(name), Pack.load(PACK), PACK.read_bytes()
    frames, stride = pack.window_frames, pack.inference_stride_hops
    rows = np.random.default_rng(3).integers(-128, 128, (frames + 3 * stride, 40), np.int8)
    run = model_firmware(board, compile_model(model, board.core, stride=stride), tmp_path, root=ROOT).run(rows.tobytes())
    interpreter: Any = Interpreter(model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    expected = b""
    for end in range(frames, len(rows) + 1, stride):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], rows[None, end - frames : end, :, None])
        interpreter.invoke()
        expected += interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).tobytes()
    assert run.output == expected
    assert len(run.instructions) == 1 + len(rows)
    assert run.reports["ram"] + run.reports["stack"] <= 12 * 1024
