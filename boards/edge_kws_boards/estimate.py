"""What estimates are made of: rounded figures of the shipped pack and of foreign models (benchmarks/results/mcu.json)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Typical:
    """A core: instructions of a multiplication and of a hop of the front end (without and with PCAN), bytes of code and stack."""

    mac_instructions: float
    hop_instructions: int
    pcan_hop_instructions: int
    code_bytes: int
    stack_bytes: int


_M0: Final = Typical(7.0, 98_000, 108_000, 8_000, 480)
_M4: Final = Typical(1.8, 25_500, 28_000, 9_000, 380)
TYPICAL: Final[Mapping[str, Typical]] = {
    "cortex-m0": _M0,
    "cortex-m0plus": _M0,
    "cortex-m3": Typical(4.0, 47_500, 50_000, 8_000, 480),
    "cortex-m4": _M4,
    "cortex-m7": _M4,
    "cortex-m33": _M4,
    "cortex-m55": Typical(0.6, 14_500, 17_000, 9_000, 760),
    "rv32": Typical(5.5, 55_000, 58_000, 9_000, 450),
}
"""By core. The instructions of a multiplication differ from model to model by a factor of two either way."""

FRONTEND_BYTES: Final = (4_200, 3_600, 2_400)
"""Code, constants, RAM of the front end."""
