"""Hours of real sound: the streaming C of each shipped pack gives, at every hop, the bytes of whole windows, in chunks of any size."""

from pathlib import Path

import numpy as np
import pytest

from edge_kws.audio.file import read_pcm
from edge_kws.frontend import Frontend
from edge_kws.pack import Pack
from edge_kws.resources import shipped_packs
from edge_kws.runners.litert import LiteRtRunner
from edge_kws.runners.native import NativeRunner


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(shipped_packs()))
def test_streams_of_read_speech_equal_whole_windows(name: str, librispeech: Path) -> None:
    pack = Pack.load(name)
    stride = pack.inference_stride_hops
    files = sorted([*librispeech.rglob("*.wav"), *librispeech.rglob("*.flac")])
    frontend = Frontend(pack.frontend)
    features = np.concatenate([frontend.process(read_pcm(path))[0] for path in files])
    assert len(features) > 50 * 60 * 50  # the better part of an hour
    runner = NativeRunner(pack.model, stride)
    assert runner.streams
    found = runner.scan(features, stride)
    assert np.array_equal(found, LiteRtRunner(pack.model, reference=True).scan(features, stride))
    stream, rng, at = runner.stream(stride), np.random.default_rng(0), 0
    chunks: list[np.ndarray] = []
    while at < len(features):
        size = int(rng.integers(1, 60))
        chunks.append(stream.process(features[at : at + size]))
        at += size
    assert np.array_equal(np.concatenate(chunks), found)
