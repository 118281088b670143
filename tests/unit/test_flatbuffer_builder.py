"""Equal vectors of a flatbuffer are stored once."""

import numpy as np

from edge_kws.flatbuffer_builder import SharingBuilder


def test_equal_vectors_share_a_place_and_others_do_not() -> None:
    builder = SharingBuilder()
    first = builder.CreateNumpyVector(np.zeros(8, np.int64))
    size = builder.Offset()
    assert builder.CreateNumpyVector(np.zeros(8, np.int64)) == first
    assert builder.Offset() == size
    others = [np.zeros(9, np.int64), np.zeros(16, np.int32), np.arange(8, dtype=np.int64)]
    assert len({first, *(builder.CreateNumpyVector(other) for other in others)}) == 4
