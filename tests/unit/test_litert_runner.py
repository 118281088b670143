"""LiteRtRunner: scan equals single windows bit for bit, and models that do not fit are refused."""

import subprocess
import sys
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_kws.errors import ModelError
from edge_kws.runners import ModelRunner
from edge_kws.runners.litert import LiteRtRunner
from tests.golden.tiny_model import FRAMES, FRONTEND, LABELS, features, tiny_model

BINS = FRONTEND.mel_bins


def window_by_window(model: bytes, long: NDArray[np.int8], stride: int, reference: bool) -> NDArray[np.int8]:
    runner = LiteRtRunner(model, reference=reference)
    frames = runner.input_shape[0]
    return np.stack([runner.run(long[start : start + frames]) for start in range(0, len(long) - frames + 1, stride)])


def long_features(frames: int) -> NDArray[np.int8]:
    return features(1, frames)[0]


def test_is_a_model_runner() -> None:
    runner: ModelRunner = LiteRtRunner(tiny_model())
    assert runner.input_shape == (FRAMES, BINS)
    assert runner.classes == len(LABELS)
    posteriors = runner.run(features(1)[0])
    assert posteriors.shape == (len(LABELS),)
    assert posteriors.dtype == np.int8


def test_is_stateless() -> None:
    runner = LiteRtRunner(tiny_model(), reference=True)
    first, second = features(2)
    before = runner.run(first)
    runner.run(second)
    runner.scan(long_features(100), 1)
    assert np.array_equal(runner.run(first), before)


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("stride", [1, 2, 3, 5, 12, 13, 40])
@pytest.mark.parametrize("shape", [{}, {"step": 2}, {"step": 3}, {"stretchable": False}, {"padded": True}, {"channel_axis": False}])
def test_scan_equals_single_windows(shape: dict[str, Any], stride: int, reference: bool) -> None:
    model, long = tiny_model(**shape), long_features(300)
    expected = window_by_window(model, long, stride, reference)
    assert len(np.unique(expected, axis=0)) > 4  # rows differ, so that equality says something
    assert np.array_equal(LiteRtRunner(model, reference=reference).scan(long, stride), expected)


def test_scan_over_several_slabs_and_calls() -> None:
    model = tiny_model(step=2)
    runner = LiteRtRunner(model, reference=True)
    for frames, stride in ((5000, 2), (200, 1), (4321, 3), (64, 2)):
        long = long_features(frames)
        assert np.array_equal(runner.scan(long, stride), window_by_window(model, long, stride, True))


def test_stretching_is_used_where_it_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = 0
    interpreter = import_module("ai_edge_litert.interpreter").Interpreter
    invoke = interpreter.invoke

    def counted(self: Any) -> None:
        nonlocal runs
        runs += 1
        invoke(self)

    monkeypatch.setattr(interpreter, "invoke", counted)
    counts: dict[str, int] = {}
    for name, model in (("stretchable", tiny_model()), ("fixed", tiny_model(stretchable=False)), ("padded", tiny_model(padded=True))):
        runs = 0
        LiteRtRunner(model, reference=True).scan(long_features(1000), 1)
        counts[name] = runs
    windows = 1000 - FRAMES + 1
    assert counts["stretchable"] < 20
    assert counts["fixed"] == windows
    assert windows < counts["padded"] < windows + 20


def test_silence_does_not_pass_padding_off_as_exact() -> None:
    """Features at the zero point look like padding: a model padded in time must be found out even if a recording begins with them."""
    model = tiny_model(padded=True)
    long = np.full((3000, BINS), -128, np.int8)
    long[2500:] = long_features(500)
    assert np.array_equal(LiteRtRunner(model, reference=True).scan(long, 1), window_by_window(model, long, 1, True))


@pytest.mark.parametrize(("frames", "windows"), [(0, 0), (FRAMES - 1, 0), (FRAMES, 1), (FRAMES + 1, 1), (FRAMES + 2, 2)])
def test_scan_of_short_features(frames: int, windows: int) -> None:
    assert LiteRtRunner(tiny_model()).scan(np.zeros((frames, BINS), np.int8), 2).shape == (windows, len(LABELS))


@pytest.mark.parametrize(
    ("window", "found"),
    [
        (np.zeros((FRAMES, BINS + 1), np.int8), f"int8 ({FRAMES}, {BINS + 1})"),
        (np.zeros((FRAMES, BINS), np.float32), "float32"),
        (np.zeros((1, FRAMES, BINS), np.int8), f"(1, {FRAMES}, {BINS})"),
    ],
)
def test_window_of_another_kind(window: NDArray[Any], found: str) -> None:
    runner = LiteRtRunner(tiny_model())
    with pytest.raises(ModelError) as refused:
        runner.run(window)
    assert found in str(refused.value)
    with pytest.raises(ModelError, match="expected int8"):
        runner.scan(window if window.dtype != np.int8 else np.zeros((FRAMES, BINS + 1), np.int8), 1)


def test_scan_stride_zero() -> None:
    with pytest.raises(ModelError, match="stride >= 1"):
        LiteRtRunner(tiny_model()).scan(long_features(20), 0)


def _retype(kind: int, tensor: int) -> Any:
    def edit(model: Any) -> None:
        model.subgraphs[0].tensors[tensor].type = kind

    return edit


def _output_before_softmax(model: Any) -> None:
    model.subgraphs[0].outputs = [7]


def _batch_of_two(model: Any) -> None:
    for tensor in (0, 1, 4, 7, 9):
        model.subgraphs[0].tensors[tensor].shape[0] = 2


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (b"", "expected a TFLite model"),
        (b"not a model at all", "expected a TFLite model"),
        (tiny_model()[:500], "expected a TFLite model"),
        (tiny_model(edit=_output_before_softmax), "scale 0.00390625, zero point -128"),
        (tiny_model(edit=_retype(0, 0)), "expected"),
        (tiny_model(edit=_batch_of_two), "batch 1"),
        (tiny_model(edit=lambda model: model.subgraphs[0].outputs.append(4)), "1 input and 1 output, found 1 and 2"),
    ],
)
def test_models_that_do_not_fit(model: bytes, expected: str) -> None:
    with pytest.raises(ModelError) as refused:
        LiteRtRunner(model)
    assert expected in str(refused.value)
    assert "\n" not in str(refused.value)


def test_threads_must_be_positive() -> None:
    assert LiteRtRunner(tiny_model(), threads=2).run(features(1)[0]).shape == (len(LABELS),)
    with pytest.raises(ModelError, match="at least 1"):
        LiteRtRunner(tiny_model(), threads=0)


def test_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    for reference in (True, False):
        runner = LiteRtRunner(tiny_model(), reference=reference)
        runner.scan(long_features(100), 1)
    LiteRtRunner(tiny_model(stretchable=False)).scan(long_features(100), 1)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""


def test_does_not_import_tensorflow() -> None:
    code = "import sys, edge_kws.pack, edge_kws.runners.litert; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
