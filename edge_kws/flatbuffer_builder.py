"""Writes flatbuffers whose equal vectors are stored once: a zero point of eight zero bytes a channel is a quarter of a small model."""

# flatbuffers carries no usable types.
# pyright: reportUnknownMemberType=false, reportUntypedBaseClass=false, reportMissingTypeStubs=false
# pyright: reportUnknownVariableType=false, reportMissingTypeArgument=false, reportUnknownArgumentType=false

from typing import Any

import flatbuffers
from numpy.typing import NDArray


class SharingBuilder(flatbuffers.Builder):
    """A `flatbuffers.Builder`; NumPy vectors of the same type and content share one place, which the format allows."""

    def __init__(self) -> None:
        super().__init__(1 << 16)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: NDArray[Any]) -> int:  # noqa: N802 (the base class's name)
        """Offset of the vector `x`, written now or before."""
        key = (x.dtype.str, x.tobytes())
        if key not in self._written:
            offset: int = super().CreateNumpyVector(x)
            self._written[key] = offset
        return self._written[key]


def packed_model(model: Any) -> bytes:
    """The bytes of a TFLite `ModelT`."""
    builder = SharingBuilder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
