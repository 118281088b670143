"""Peers of the host benchmark: each function takes a WAV file and returns what runs it once, in the blocks that the peer takes when live.

Those outside the lock come from build/peers, where `make bench-host` puts them; a peer that is not there raises ImportError.
"""

# Peers carry few types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false, reportMissingImports=false
# pyright: reportUnknownParameterType=false

import os
import sys
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from _results import ROOT

Run = Callable[[], None]

PEERS = ROOT / "build" / "peers"
MICRO_MODELS = ("okay_nabu", "hey_jarvis", "hey_mycroft", "alexa")
OPEN_MODELS = ("hey_jarvis", "hey_mycroft", "alexa", "hey_rhasspy")
YAMNET = Path(os.environ.get("EDGE_KWS_YAMNET") or ROOT.parent / "shared" / "data" / "teachers" / "yamnet.tflite")
_MICRO_BLOCK, _OPEN_BLOCK, _SILERO_BLOCK, _SILERO_CONTEXT = 1024, 1280, 512, 64
_YAMNET_WINDOW, _YAMNET_HOP = 15_600, 7_680

if PEERS.is_dir():
    sys.path.append(str(PEERS))  # last: what both have is the environment's


def blocks(wav: Path, samples: int) -> Iterator[bytes]:
    """The file in blocks of 16-bit samples; the last may be shorter."""
    with wave.open(str(wav)) as file:
        while block := file.readframes(samples):
            yield block


def micro_features(wav: Path) -> Run:
    """pymicro-features."""
    from pymicro_wakeword import MicroWakeWordFeatures

    features = MicroWakeWordFeatures()

    def run() -> None:
        for block in blocks(wav, _MICRO_BLOCK):
            for _ in features.process_streaming(block):
                pass

    return run


def micro_wake_words(wav: Path, count: int) -> Run:
    """pymicro-wakeword."""
    from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures, Model

    models = [MicroWakeWord.from_builtin(Model(name)) for name in MICRO_MODELS[:count]]
    features = MicroWakeWordFeatures()

    def run() -> None:
        for block in blocks(wav, _MICRO_BLOCK):
            for frame in features.process_streaming(block):
                for model in models:
                    model.process_streaming(frame)

    return run


def pyopen_wake_words(wav: Path, count: int) -> Run:
    """pyopen-wakeword: openWakeWord's models in TFLite's C library."""
    from pyopen_wakeword import Model, OpenWakeWord, OpenWakeWordFeatures

    known = {model.value: model for model in Model}
    names = [next(value for value in known if value.startswith(name)) for name in ("okay_nabu", *OPEN_MODELS[:3])[:count]]
    models = [OpenWakeWord.from_builtin(known[name]) for name in names]
    features = OpenWakeWordFeatures.from_builtin()

    def run() -> None:
        for block in blocks(wav, _OPEN_BLOCK):
            for embeddings in features.process_streaming(block):
                for model in models:
                    for _ in model.process_streaming(embeddings):
                        pass

    return run


def open_wake_words(wav: Path, count: int) -> Run:
    """ONNX Runtime under openWakeWord."""
    import numpy as np
    import openwakeword

    folder = Path(str(openwakeword.__file__)).parent / "resources" / "models"
    paths = [str(folder / f"{name}_v0.1.onnx") for name in OPEN_MODELS[:count]]
    model = openwakeword.Model(wakeword_models=paths, inference_framework="onnx")

    def run() -> None:
        for block in blocks(wav, _OPEN_BLOCK):
            model.predict(np.frombuffer(block, np.int16))

    return run


def silero_vad(wav: Path) -> Run:
    """silero-vad's ONNX model, fed as its own wrapper feeds it; the wrapper wants PyTorch."""
    from importlib.util import find_spec

    import numpy as np
    import onnxruntime

    spec = find_spec("silero_vad")
    if spec is None or spec.origin is None:
        raise ImportError("silero_vad")
    options: Any = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    path = Path(spec.origin).parent / "data" / "silero_vad.onnx"
    session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    rate = np.array(16_000, np.int64)

    def run() -> None:
        state, context = np.zeros((2, 1, 128), np.float32), np.zeros(_SILERO_CONTEXT, np.float32)
        for block in blocks(wav, _SILERO_BLOCK):
            samples = np.frombuffer(block, np.int16).astype(np.float32) / 32768
            if len(samples) < _SILERO_BLOCK:
                break
            frame = np.concatenate([context, samples])
            _, state = session.run(None, {"input": frame[np.newaxis], "state": state, "sr": rate})
            context = frame[-_SILERO_CONTEXT:]

    return run


def yamnet(wav: Path) -> Run:
    """YAMNet in LiteRT, every 0.48 s."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    if not YAMNET.is_file():
        raise ImportError(f"{YAMNET}: set EDGE_KWS_YAMNET")
    interpreter = Interpreter(model_path=str(YAMNET), num_threads=1)
    interpreter.allocate_tensors()
    source: Any = interpreter.get_input_details()[0]
    result = interpreter.get_output_details()[0]["index"]

    def run() -> None:
        window = np.zeros(_YAMNET_WINDOW, np.float32)
        for block in blocks(wav, _YAMNET_HOP):
            samples = np.frombuffer(block, np.int16).astype(np.float32) / 32768
            window = np.concatenate([window[len(samples) :], samples])
            interpreter.set_tensor(source["index"], window.reshape(source["shape"]))
            interpreter.invoke()
            interpreter.get_tensor(result)

    return run
