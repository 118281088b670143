"""Each core gets kernels that support its layers, constants in their layout and scratch for them."""

from dataclasses import replace

import pytest

from edge_kws_converters.compiler import make_program
from edge_kws_converters.kernels import CORES
from edge_kws_converters.passes.lay_out_weights import lay_out_weights
from edge_kws_converters.program import SHIFT_ANY, Program
from tests.golden.tiny_model import tiny_model


def _convolutions(program: Program) -> list[tuple[str, str]]:
    return [(layer.kind, layer.kernel.variant) for layer in program.layers if layer.kernel]


@pytest.mark.parametrize("core", CORES)
def test_layers_get_a_kernel_of_the_core(core: str) -> None:
    program = make_program(tiny_model())
    lay_out_weights(program, core)
    assert _convolutions(program) == [("conv", CORES[core][0])] * 2
    for layer in program.layers:
        if layer.kernel is None:
            assert layer.weights is None
            continue
        assert layer.weights is not None
        assert layer.channels is not None
        assert list(layer.constants) == list(layer.kernel.uses)
        assert layer.constants["weights"].tobytes() == layer.kernel.pack(layer.weights, layer.channels, layer.shape)
        assert layer.scratch == layer.kernel.scratch(layer.shape)


def test_a_program_is_laid_out_anew_for_another_core() -> None:
    program = make_program(tiny_model())
    lay_out_weights(program, "cortex-m55")
    lay_out_weights(program, "host")
    assert _convolutions(program) == [("conv", "portable")] * 2
    assert [list(layer.constants) for layer in program.layers if layer.kernel] == [["weights", "bias", "multiplier", "shift"]] * 2


def test_what_the_fast_kernel_cannot_compute_gets_the_portable_one() -> None:
    program = make_program(tiny_model())
    first = next(layer for layer in program.layers if layer.weights is not None)
    first.shape = replace(first.shape, shifts=SHIFT_ANY)
    lay_out_weights(program, "cortex-m4")
    assert _convolutions(program) == [("conv", "portable"), ("conv", "dsp")]
