"""Compiles packs for the wheel: `python -m edge_kws.runners.prebuild FOLDER PACK...`; one line for each that it leaves out.

The build hook runs it from the source tree, where of all dependencies only NumPy is installed: a pack is opened by hand, not by pack.py.
"""

import json
import sys
from pathlib import Path

from edge_kws.errors import EdgeKwsError
from edge_kws.pack_archive import split_archive
from edge_kws.pack_flatbuffer import unwrap
from edge_kws.runners.native_library import compile_into, host_model


def prebuild(folder: Path, packs: list[Path]) -> list[str]:
    """Compiles packs into `folder`; returns why some are left out, one line each."""
    left_out: list[str] = []
    for path in packs:
        try:
            stored, members = split_archive(path.read_bytes())
            info = json.loads(members["edge_kws.json"])
            model, _ = unwrap(stored, info["model_bytes"])
            compile_into(folder, host_model(model, info["inference_stride_hops"]))
        except (EdgeKwsError, OSError, KeyError, TypeError, ValueError) as error:
            left_out.append(f"{path.name}: {' '.join(str(error).split())}")
    return left_out


if __name__ == "__main__":
    for line in prebuild(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]):
        sys.stdout.write(f"{line}\n")
