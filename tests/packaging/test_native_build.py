"""The host library is never stale: edits rebuild it, parallel processes share one build, failures say what to do."""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_kws import native, native_build

_LOAD = "from edge_kws import native; print(native.library().ekws_source_hash().decode())"
_LOAD_OR_SAY = f"""
from edge_kws.errors import FrontendError
try:
    {_LOAD}
except FrontendError as error:
    print("FrontendError:", error)
"""


def _python(tree: Path, code: str, python: str | Path = sys.executable, **environment: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(tree), **environment}
    return subprocess.Popen([python, "-c", code], cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _output(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out.strip()


def test_checkout_library_is_fresh(root: Path) -> None:
    assert native.library().ekws_source_hash().decode() == native_build.source_hash(root)


def test_edit_of_any_source_rebuilds(copy_tree: Callable[[], Path]) -> None:
    tree = copy_tree()
    library = tree / "edge_kws" / native_build.library_name()
    hashes = [_output(_python(tree, _LOAD))]
    assert hashes[0] == native_build.embedded_hash(library)
    for edited in ("src/frontend.c", "include/ekws.h", "CMakeLists.txt"):
        with (tree / "firmware" / edited).open("a") as source:
            source.write("\n# edited\n" if edited.endswith(".txt") else "\n/* edited */\n")
        hashes.append(_output(_python(tree, _LOAD)))
        assert hashes[-1] == native_build.source_hash(tree) == native_build.embedded_hash(library)
    assert len(set(hashes)) == len(hashes)


def test_unchanged_sources_do_not_rebuild(copy_tree: Callable[[], Path]) -> None:
    tree = copy_tree()
    library = native_build.ensure(tree)
    before = library.stat().st_mtime_ns
    _output(_python(tree, _LOAD))
    assert library.stat().st_mtime_ns == before


def test_parallel_processes_build_once(copy_tree: Callable[[], Path]) -> None:
    tree = copy_tree()
    loads = [_python(tree, _LOAD) for _ in range(4)]
    assert {_output(load) for load in loads} == {native_build.source_hash(tree)}
    files = [*(tree / "edge_kws").iterdir(), *(tree / "build").iterdir()]
    left = {path.name for path in files if "native" in path.name or "libekws" in path.name} - {
        "native.py",
        "native_build.py",
        "__pycache__",
    }
    assert left == {native_build.library_name(), "native.lock"}


def test_broken_source_is_one_line_and_never_the_old_library(copy_tree: Callable[[], Path]) -> None:
    tree = copy_tree()
    native_build.ensure(tree)
    with (tree / "firmware" / "src" / "frontend.c").open("a") as source:
        source.write("\nthis is not C;\n")
    said = _output(_python(tree, _LOAD_OR_SAY))
    assert said.startswith("FrontendError: the native library does not build: ")
    assert "frontend.c" in said
    assert "\n" not in said


def test_library_of_another_machine_is_replaced(copy_tree: Callable[[], Path]) -> None:
    tree = copy_tree()
    digest = native_build.source_hash(tree)
    (tree / "edge_kws" / native_build.library_name()).write_bytes(b"not an object ekws_source_hash=" + digest.encode())
    assert _output(_python(tree, _LOAD)) == digest


@pytest.mark.skipif(sys.platform == "win32", reason="the plain compiler call is for POSIX systems")
def test_plain_compiler_where_cmake_is_missing(copy_tree: Callable[[], Path], tmp_path: Path) -> None:
    tree = copy_tree()
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("cc", "as", "ld"):
        found = shutil.which(name)
        if found:
            (tools / name).symlink_to(found)
    python = tmp_path / "bare" / "bin" / "python"
    assert _output(_python(tree, _LOAD, python, PATH=str(tools), CC="cc")) == native_build.source_hash(tree)


@pytest.mark.skipif(sys.platform == "win32", reason="CMake finds its own compiler on Windows")
def test_no_compiler_names_the_package(copy_tree: Callable[[], Path], tmp_path: Path) -> None:
    tree = copy_tree()
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    said = _output(_python(tree, _LOAD_OR_SAY, tmp_path / "bare" / "bin" / "python", PATH=str(tmp_path), CC="cc"))
    assert said == "FrontendError: no C compiler found to build the native library: install one (Debian: apt-get install gcc libc6-dev)"


def test_installed_package_without_library_says_so(copy_tree: Callable[[], Path]) -> None:
    tree = copy_tree()
    shutil.rmtree(tree / "firmware")
    said = _output(_python(tree, _LOAD_OR_SAY))
    assert said.startswith("FrontendError:")
    assert "reinstall edge-kws" in said
