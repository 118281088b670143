"""Which runner a pack gets: compiled C, or LiteRT where this machine cannot compile."""

import sys
from functools import cache

from edge_kws.errors import ConversionError, ModelError
from edge_kws.runners import ModelRunner
from edge_kws.runners.litert import LiteRtRunner
from edge_kws.runners.native import NativeRunner


def open_runner(model: bytes, stride: int, *, exact: bool = True) -> ModelRunner:
    """The fastest runner that this machine has.

    Args:
        model: TFLite flatbuffer of a whole-window classifier.
        stride: frames between windows.
        exact: where C cannot be compiled, run LiteRT's slow reference kernels rather than those that may differ in the last bits.

    Raises:
        ModelError: a model that no runner takes.
    """
    try:
        return NativeRunner(model, stride)
    except (ConversionError, ModelError, OSError) as error:
        _note(str(error))
        return LiteRtRunner(model, reference=exact)


@cache
def _note(reason: str) -> None:
    """Once per reason: a slower runner is at work."""
    sys.stderr.write(f"edge-kws: note: running LiteRT instead of compiled C ({' '.join(reason.split())})\n")
