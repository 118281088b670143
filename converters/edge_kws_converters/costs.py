"""What a compiled model costs, layer by layer: constants in flash, RAM, multiplications. Code and instructions are measured on a board."""

from dataclasses import dataclass

from edge_kws_converters.program import Layer, Program
from edge_kws_converters.writers.c import CModel


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One layer.

    Attributes:
        constant_bytes: weights, requantisation and tables in flash.
        ring_bytes: of the rows it makes; rings that live at different times share addresses.
        macs: multiplications of one output (whole window, or one step of a stream).
    """

    name: str
    constant_bytes: int
    ring_bytes: int
    macs: int


@dataclass(frozen=True, slots=True)
class ModelCost:
    """All layers, and the sums: `arena_bytes` is the RAM but counters and stack; `rows` the input rows of one output."""

    layers: tuple[LayerCost, ...]
    constant_bytes: int
    arena_bytes: int
    macs: int
    rows: int


def model_cost(model: CModel) -> ModelCost:
    """The costs of a compiled model on the core it was compiled for."""
    program = model.program
    layers = tuple(_layer(program, layer) for layer in program.layers)
    macs = sum(layer.macs for layer in layers)
    return ModelCost(layers, sum(layer.constant_bytes for layer in layers), program.arena_bytes, macs, program.stride or program.input.rows)


def _layer(program: Program, layer: Layer) -> LayerCost:
    constants = sum(array.nbytes for array in layer.constants.values())
    ring = 0 if layer.out is program.output else layer.out.bytes
    return LayerCost(layer.name, constants, ring, round(layer.macs * _rows(program, layer)))


def _rows(program: Program, layer: Layer) -> float:
    """Rows a layer makes for one output."""
    if not program.stride:
        return layer.out.rows
    rows = float(program.stride)
    # Follow the strides from the input: every layer reads one ring whose rate is known already.
    rates = {id(program.input): rows}
    for other in program.layers:
        if other.edges and other.edges[0].stride:
            rates[id(other.out)] = rates[id(other.edges[0].ring)] / other.edges[0].stride * other.together
        elif other.edges:
            rates[id(other.out)] = rates[id(other.edges[0].ring)]
    return rates[id(layer.out)]
