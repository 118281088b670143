"""How far our features equal those of TensorFlow Lite Micro's microfrontend (PyPI pymicro-features), on sounds of every kind.

Real speech comes from EDGE_KWS_DATA (a folder with `speech_commands` and `librispeech_train_clean_251`); without it that row is left out.
"""

# pymicro-features carries no types.
# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _results import package, publish
from numpy.typing import NDArray
from pymicro_features import MicroFrontend

from edge_kws import Frontend, FrontendConfig
from edge_kws.audio.file import read_pcm
from edge_kws.resources import demo_speech

CONFIG = FrontendConfig(noise_reduction=True, pcan=True, feature_divisor=666)
HOP_BYTES = 320
SECONDS = 20
CLIPS = 200


def sounds() -> Iterator[tuple[str, NDArray[np.int16]]]:
    """Name and PCM of each kind of sound."""
    folder = Path(os.environ.get("EDGE_KWS_DATA", "~/.cache/edge_kws/shared-data")).expanduser()
    for name, pattern in (
        ("words, 35 of Speech Commands", "speech_commands/[a-z]*/*.wav"),
        ("read speech, LibriSpeech", "librispeech_train_clean_251/**/*.wav"),
    ):
        files = sorted(folder.glob(pattern))
        if files:
            yield f"real {name}", np.concatenate([read_pcm(path) for path in files[:: max(1, len(files) // CLIPS)]])
    yield "synthetic speech (the demo)", read_pcm(demo_speech())
    time_s = np.arange(SECONDS * 16_000) / 16_000
    random = np.random.default_rng(0)
    steps = np.repeat(np.geomspace(60, 7600, 4 * SECONDS), 4000)
    phase = 2 * np.pi * np.cumsum(steps) / 16_000
    yield "tones 60-7600 Hz, loud", _pcm(20_000 * np.sin(phase))
    yield "tones 60-7600 Hz, 40 of 32768", _pcm(40 * np.sin(phase))
    yield "white noise", _pcm(random.normal(0, 3000, len(time_s)))
    yield "digital silence", _pcm(0 * time_s)
    yield "near silence, +-1", _pcm(random.integers(-1, 2, len(time_s)))
    yield "clipped noise", _pcm(random.normal(0, 100_000, len(time_s)))
    yield "square wave of full scale", _pcm(np.where(np.sin(2 * np.pi * 300 * time_s) > 0, 32767, -32768))


def _pcm(samples: NDArray[Any]) -> NDArray[np.int16]:
    return np.clip(samples, -32768, 32767).astype(np.int16)


def theirs(pcm: NDArray[np.int16]) -> NDArray[np.int64]:
    """Their features (frames, 40), quantised as ours are."""
    frontend, data, rows, position = MicroFrontend(), pcm.tobytes(), list[list[float]](), 0
    while position + HOP_BYTES <= len(data):
        output = frontend.process_samples(data[position : position + HOP_BYTES])
        position += output.samples_read * 2
        if output.features:
            rows.append(output.features)
    f = np.rint(np.array(rows) * 25.6).astype(np.int64)
    divisor = CONFIG.feature_divisor
    return np.clip((f * 256 + divisor // 2) // divisor - 128, -128, 127)


def main() -> None:
    rows: list[list[str]] = []
    figures: list[dict[str, Any]] = []
    for name, pcm in sounds():
        other = theirs(pcm)
        ours = Frontend(CONFIG).process(pcm)[0].astype(np.int64)[: len(other)]
        difference = np.abs(ours - other[: len(ours)])
        equal, within_one = float((difference == 0).mean()), float((difference <= 1).mean())
        rows.append([name, f"{len(pcm) / 16_000:.0f}", f"{difference.size:,}", f"{equal:.3%}", f"{within_one:.3%}", str(difference.max())])
        figures.append({"sound": name, "seconds": len(pcm) / 16_000, "features": difference.size, "equal": equal, "within_one": within_one})
    headers = ("sound", "seconds", "int8 features", "equal", "within 1 step", "largest step")
    note = f"Noise reduction and PCAN on, D = {CONFIG.feature_divisor}; against {package('pymicro-features')}."
    publish("frontend_parity", "Front end parity", headers, rows, [note], figures)


if __name__ == "__main__":
    main()
