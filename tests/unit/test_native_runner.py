"""NativeRunner: the bytes of LiteRT's reference kernels, whole windows and streams alike, and a note where nothing compiles."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_kws.errors import ModelError
from edge_kws.runners import ModelRunner, native_library
from edge_kws.runners.choose import _note, open_runner
from edge_kws.runners.litert import LiteRtRunner
from edge_kws.runners.native import NativeRunner
from edge_kws.runners.native_library import NoCompilerError, cache_folder
from tests.golden.tiny_model import FRAMES, FRONTEND, LABELS, features, tiny_model

BINS = FRONTEND.mel_bins


def _frames(count: int) -> NDArray[np.int8]:
    return features(1, count)[0]


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("stride", [1, 2, 5])
def test_scan_equals_the_reference(padded: bool, stride: int) -> None:
    model = tiny_model(step=2, padded=padded)
    runner: ModelRunner = NativeRunner(model, stride)
    reference = LiteRtRunner(model, reference=True)
    assert (runner.input_shape, runner.classes) == (reference.input_shape, reference.classes)
    for count in (0, FRAMES - 1, FRAMES, FRAMES + 1, 90):
        assert np.array_equal(runner.scan(_frames(count), stride), reference.scan(_frames(count), stride))
    other = stride + 1
    assert np.array_equal(runner.scan(_frames(60), other), reference.scan(_frames(60), other))
    assert np.array_equal(runner.run(_frames(FRAMES)), reference.run(_frames(FRAMES)))


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("stride", [1, 3, FRAMES + 4])
@pytest.mark.parametrize("kind", ["native", "litert"])
def test_streams_give_each_window_when_its_last_frame_comes(padded: bool, stride: int, kind: str) -> None:
    model = tiny_model(step=2, padded=padded)
    runner: ModelRunner = NativeRunner(model, stride) if kind == "native" else LiteRtRunner(model, reference=True)
    rows, rng = _frames(80), np.random.default_rng(stride)
    expected = LiteRtRunner(model, reference=True).scan(rows, stride)
    stream = runner.stream(stride)
    for _ in range(2):
        at, given = 0, 0
        while at < len(rows):
            chunk = rows[at : at + int(rng.integers(1, 9))]
            at += len(chunk)
            posteriors = stream.process(chunk)
            assert np.array_equal(posteriors, expected[given : given + len(posteriors)])
            given += len(posteriors)
            assert given == max(0, (at - FRAMES) // stride + 1)
        stream.reset()


def test_streams_of_one_runner_do_not_share_state() -> None:
    runner = NativeRunner(tiny_model(), 1)
    first, second = runner.stream(1), runner.stream(1)
    first.process(_frames(FRAMES - 1))
    assert len(second.process(_frames(FRAMES - 1))) == 0
    assert np.array_equal(second.process(_frames(FRAMES)[-1:])[0], runner.run(_frames(FRAMES)))


@pytest.mark.parametrize("window", [np.zeros((FRAMES, BINS + 1), np.int8), np.zeros((FRAMES, BINS), np.int16)])
def test_windows_that_do_not_fit(window: NDArray[np.int8]) -> None:
    with pytest.raises(ModelError, match="model window: expected int8"):
        NativeRunner(tiny_model(), 1).run(window)
    with pytest.raises(ModelError, match="model scan: expected int8"):
        NativeRunner(tiny_model(), 1).scan(window, 1 if window.dtype == np.int16 else 0)


def test_compiled_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    NativeRunner(tiny_model(), 1)
    (library,) = cache_folder().iterdir()
    before = library.stat().st_mtime_ns
    NativeRunner(tiny_model(), 1)
    assert [(path.name, path.stat().st_mtime_ns) for path in cache_folder().iterdir()] == [(library.name, before)]
    NativeRunner(tiny_model(), 2)
    assert len(list(cache_folder().iterdir())) == 2


_FAKE_ZIG = """
import os, subprocess, sys
with open(os.environ["ZIG_LOG"], "a") as log:
    log.write(" ".join(sys.argv[1:]) + chr(10))
command, target, *rest = sys.argv[1:]
assert (command, target) == ("cc", "-mcpu=baseline")
sys.exit(subprocess.call(["cc", *rest]))
"""


def test_ziglang_compiles_where_the_system_has_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package, log = tmp_path / "site" / "ziglang", tmp_path / "log"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(_FAKE_ZIG)
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("ZIG_LOG", str(log))
    monkeypatch.setattr(native_library, "tool", lambda *_: None)
    native_library._compiler.cache_clear()
    try:
        runner = NativeRunner(tiny_model(), 1)
    finally:
        native_library._compiler.cache_clear()
    assert [line.split()[:3] for line in log.read_text().splitlines()] == [
        ["cc", "-mcpu=baseline", "--version"],
        ["cc", "-mcpu=baseline", "-std=c99"],
    ]
    expected = LiteRtRunner(tiny_model(), reference=True).run(_frames(FRAMES))
    assert np.array_equal(runner.run(_frames(FRAMES)), expected)


def test_no_compiler_at_all_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_library, "tool", lambda *_: None)
    monkeypatch.setattr(native_library.importlib.util, "find_spec", lambda _: None)
    native_library._compiler.cache_clear()
    with pytest.raises(NoCompilerError, match="pip install ziglang"):
        NativeRunner(tiny_model(), 1)


def test_a_shipped_library_is_found_by_the_c_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> tuple[tuple[str, ...], str]:
        raise NoCompilerError("no C compiler")

    native_library.compile_into(tmp_path, native_library.host_model(tiny_model(), 2))
    native_library.compile_into(tmp_path, native_library.host_model(tiny_model(), 3)).write_bytes(b"another platform's")
    monkeypatch.setattr(native_library, "_SHIPPED", tmp_path)
    monkeypatch.setattr(native_library, "_compiler", none)
    expected = LiteRtRunner(tiny_model(), reference=True).run(_frames(FRAMES))
    assert np.array_equal(NativeRunner(tiny_model(), 2).run(_frames(FRAMES)), expected)
    with pytest.raises(NoCompilerError):
        NativeRunner(tiny_model(), 1)  # other C: never the library at hand
    with pytest.raises(NoCompilerError):
        NativeRunner(tiny_model(), 3)  # does not load


def test_without_a_compiler_litert_runs_and_says_so_once(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def none() -> tuple[tuple[str, ...], str]:
        raise NoCompilerError("no C compiler: expected cc, gcc or clang, found none; apt-get install gcc libc6-dev")

    monkeypatch.setattr(native_library, "_compiler", none)
    _note.cache_clear()
    runners = [open_runner(tiny_model(), 1) for _ in range(2)]
    assert all(isinstance(runner, LiteRtRunner) for runner in runners)
    notes = [line for line in capfd.readouterr().err.splitlines() if "note" in line]
    reason = "no C compiler: expected cc, gcc or clang, found none; apt-get install gcc libc6-dev"
    assert notes == [f"edge-kws: note: running LiteRT instead of compiled C ({reason})"]
    assert runners[0].run(_frames(FRAMES)).shape == (len(LABELS),)
