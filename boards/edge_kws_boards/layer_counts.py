"""Instructions of generated C, layer by layer, exactly: debug information tells what was inlined where, the emulator who called what."""

import re
from typing import Final

from edge_kws_boards.emulator import Firmware

NO_LAYER: Final = 0
"""Owner of what takes turns between the layers; layer n has owner n + 1."""

_LAYER: Final = re.compile(r"layer_(\d+)$")
_OUTER: Final = re.compile(r"layer_\d+|tick|reset|ekws_measured_\w+|board_main")


def functions(firmware: Firmware) -> dict[str, range]:
    """Where instructions of each function can lie. Raises BoardError."""
    text = firmware.board.tool("nm", "-S", str(firmware.elf))
    found = re.finditer(r"^([0-9a-f]+) ([0-9a-f]+) [tT] (\S+)$", text, re.MULTILINE)
    return {m[3]: range(int(m[1], 16) & ~1, (int(m[1], 16) & ~1) + int(m[2], 16), 2) for m in found}


def layer_owners(firmware: Firmware) -> dict[int, int]:
    """Owners by address, as `Firmware.run` takes them, of the code that calls kernels; kernels count for their caller.

    Args:
        firmware: of a compiled model, built with `-g`, which changes no instruction.

    Raises:
        BoardError: a tool of the cross compiler fails.
    """
    outer = [addresses for name, addresses in functions(firmware).items() if _OUTER.match(name)]
    listed = "".join(f"{address:x}\n" for addresses in outer for address in addresses)
    text = firmware.board.tool("addr2line", "-a", "-f", "-i", "-e", str(firmware.elf), given=listed)
    owners: dict[int, int] = {}
    address = 0
    for line in text.splitlines():
        if line.startswith("0x"):
            address = int(line, 16)
            owners[address] = NO_LAYER
        elif (layer := _LAYER.match(line)) is not None:
            owners[address] = int(layer[1]) + 1
    return owners
