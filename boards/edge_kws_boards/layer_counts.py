"""Instructions of generated C, layer by layer, exactly: debug information tells what was inlined where, the emulator who called what."""

import re
from typing import Final

from edge_kws_boards.emulator import Firmware

NO_LAYER: Final = 0
"""Owner of what takes turns between the layers; layer n has owner n + 1."""

_LAYER: Final = re.compile(r"layer_(\d+)$")
_OUTER: Final = re.compile(r"layer_\d+|tick|reset|ekws_measured_\w+|board_main")


def layer_owners(firmware: Firmware) -> dict[int, int]:
    """Owners by address, as `Firmware.run` takes them, of the code that calls kernels; kernels count for their caller.

    Args:
        firmware: of a compiled model, built with `-g`, which changes no instruction.

    Raises:
        BoardError: a tool of the cross compiler fails.
    """
    functions = firmware.symbols()
    ends = [start for start, _ in functions[1:]] + [functions[-1][0] + 2]
    outer = [range(start, end, 2) for (start, name), end in zip(functions, ends, strict=True) if _OUTER.match(name)]
    addresses = "".join(f"{address:x}\n" for addresses in outer for address in addresses)
    text = firmware.board.tool("addr2line", "-a", "-f", "-i", "-e", str(firmware.elf), given=addresses)
    owners: dict[int, int] = {}
    address = 0
    for line in text.splitlines():
        if line.startswith("0x"):
            address = int(line, 16)
            owners[address] = NO_LAYER
        elif (layer := _LAYER.match(line)) is not None:
            owners[address] = int(layer[1]) + 1
    return owners
