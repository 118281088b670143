"""Operators without weights that have fast kernels, on the cores that have them: LiteRT's bytes."""

from pathlib import Path

import numpy as np
import pytest

from edge_kws_boards.model_firmware import model_firmware
from edge_kws_converters.compiler import compile_model, read_model
from edge_kws_converters.reference import Reference
from tests.firmware.test_boards import installed
from tests.golden.compiled import adversarial_windows
from tests.golden.operator_models import OperatorModel, options

ROOT = Path(__file__).resolve().parents[2]
CORES = {"m4": ("ekws_add_s8_dsp",), "m55": ("ekws_add_s8_mve", "ekws_max_pool_s8_mve", "ekws_sum_row_s8_mve")}


def _sums_and_pools(seed: int, width: int, channels: int) -> bytes:
    """ADD, SUB, MAX_POOL_2D and MEAN with random scales, zero points and activations."""
    rng, net = np.random.default_rng(seed), OperatorModel()

    def scale() -> float:
        return float(rng.choice([0.004, 0.02, 0.11, 0.5]))

    def zero() -> int:
        return int(rng.choice([-128, -3, 77, 127]))

    shape, source_scale, source_zero = (1, 6, width, channels), scale(), zero()
    source = net.tensor(shape, source_scale, source_zero)
    pool = {"strideH": 1, "strideW": 1, "padding": 0, "fusedActivationFunction": int(rng.choice([0, 1, 3]))}
    most = net.tensor(shape, source_scale, source_zero)
    net.operator("MAX_POOL_2D", [source], [most], options("Pool2D", filterHeight=2, filterWidth=3, **pool))
    total = net.tensor(shape, scale(), zero())
    net.operator("ADD", [source, most], [total], options("Add", fusedActivationFunction=int(rng.integers(2))))
    rest = net.tensor(shape, scale(), zero())
    net.operator("SUB", [total, most], [rest], options("Sub", fusedActivationFunction=int(rng.integers(2))))
    mean = net.tensor((1, channels), scale(), zero())
    net.operator("MEAN", [rest, net.ints([1, 2])], [mean], options("Reducer"))
    return net.finish(source, mean)


@pytest.mark.parametrize("name", CORES)
@pytest.mark.parametrize(("width", "channels"), [(5, 16), (3, 7)])
@pytest.mark.parametrize("seed", [0, 1])
def test_sums_and_pools(tmp_path: Path, name: str, seed: int, width: int, channels: int) -> None:
    board, model = installed(name), _sums_and_pools(seed, width, channels)
    compiled = compile_model(model, core=board.core, c_name="measured")
    fast = [function for function in CORES[name] if f"  {function}(" in compiled.source]
    assert fast == [function for function in CORES[name] if channels == 16 or "add" in function]
    reference, windows = Reference(model, read_model(model)), adversarial_windows(6 * width * channels, seed)
    run = model_firmware(board, compiled, tmp_path, root=ROOT).run(windows.tobytes())
    assert run.output == np.stack([reference.run(window) for window in windows]).tobytes()
