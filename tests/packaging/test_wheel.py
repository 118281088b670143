"""The wheel: its tag, what it holds, and that it works where there is no checkout."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_kws import __version__
from edge_kws.native_build import library_name

_UV = Path(sys.executable).with_name("uv")
_ASK = """
import json, sys
import edge_kws
from edge_kws import native, resources
digest = native.library().ekws_source_hash().decode()
print(json.dumps({"file": edge_kws.__file__, "digest": digest, "packs": sorted(resources.shipped_packs()),
                  "tensorflow": "tensorflow" in sys.modules}))
"""
_ASK_RUNNERS = """
import edge_kws
from edge_kws.pack import Pack
from edge_kws.resources import shipped_packs
from edge_kws.runners.native import NativeRunner
for name in shipped_packs():
    pack = Pack.load(name)
    print(name)
    runner = NativeRunner(pack.model, pack.inference_stride_hops)
    assert all((runner.run(window) == output).all() for window, output in zip(pack.golden.windows, pack.golden.outputs))
print(edge_kws.__file__)
"""


def _run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "running LiteRT" not in done.stderr
    return done.stdout


def _build(tree: Path, *options: str) -> Path:
    """Build with the tools of this environment: no network."""
    _run(_UV, "build", "--no-build-isolation", "--python", sys.executable, *options, "--out-dir", tree / "dist", cwd=tree)
    return next((tree / "dist").glob("*.whl"))


def _bare_python(folder: Path, *install: str | Path) -> Path:
    _run(_UV, "venv", "--python", sys.executable, folder / "venv", cwd=folder)
    python = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    _run(_UV, "pip", "install", "--python", python, *install, cwd=folder)
    return python


def test_wheel_holds_the_library_and_runs_without_a_checkout(copy_tree: Callable[[], Path], root: Path, tmp_path: Path) -> None:
    wheel = _build(copy_tree(), "--wheel")
    name, version, *tag = wheel.stem.split("-")
    assert (name, version, tag[:2]) == ("edge_kws", __version__, ["py3", "none"])
    assert tag[2] != "any"

    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"edge_kws/{library_name()}", "edge_kws/py.typed", "edge_kws/cli/main.py", "edge_kws/service/example.toml"} <= names
    assert {f"edge_kws/service/page/static/{name}" for name in ("index.html", "page.css", "page.js", "net.js", "icon.svg")} <= names
    assert {f"edge_kws/examples/demo.{suffix}" for suffix in ("flac", "json")} <= names
    assert {path.name for path in root.glob("models/*.tflite")} == {Path(n).name for n in names if n.startswith("edge_kws/packs/")}
    firmware = {"app/main.c", "include/ekws.h", "src/ekws.c", "src/kernels/dsp.h", "ports/link.ld.in", "ports/cmsdk/port.c"}
    assert {f"edge_kws_boards/firmware/{name}" for name in firmware} <= names
    assert "edge_kws_boards/descriptions/qemu-m4.toml" in names
    packages = {"edge_kws", "edge_kws_boards", "edge_kws_converters", "edge_kws_quantization"}
    assert {n.split("/")[0] for n in names} <= {*packages, f"edge_kws-{__version__}.dist-info"}

    # Nothing but the standard library is needed to load the native code.
    python = _bare_python(tmp_path, "--no-deps", wheel)
    told = json.loads(_run(python, "-c", _ASK, cwd=tmp_path))
    assert str(tmp_path / "venv") in told["file"]
    assert len(told["digest"]) == 64
    assert told["packs"] == sorted(path.stem for path in root.glob("models/*.tflite"))
    assert not told["tensorflow"]


def test_shipped_packs_run_as_compiled_c_without_a_compiler(copy_tree: Callable[[], Path], root: Path, tmp_path: Path) -> None:
    tree = copy_tree()
    (tree / "models" / "broken.tflite").write_bytes(b"not a pack")
    command = [_UV, "build", "--no-build-isolation", "--python", sys.executable, "--wheel", "--out-dir", tree / "dist"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "note: shipped packs not compiled into this wheel: broken.tflite: " in done.stderr
    python = _bare_python(tmp_path, "--no-deps", next((tree / "dist").glob("*.whl")))
    for pack in (tmp_path / "venv").rglob("packs/broken.tflite"):
        pack.unlink()

    # This environment's dependencies, without its editable edge_kws: a folder on PYTHONPATH has its .pth files ignored.
    (tmp_path / "empty").mkdir()
    bare = {
        "PYTHONPATH": sysconfig.get_path("purelib"),
        "PATH": str(tmp_path / "empty"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "CC": "cc",
    }
    *names, where = _run(python, "-c", _ASK_RUNNERS, cwd=tmp_path, **bare).splitlines()
    assert names == sorted(path.stem for path in root.glob("models/*.tflite"))
    assert str(tmp_path / "venv") in where
    _run(python, "-m", "edge_kws.cli.main", "demo", cwd=tmp_path, **bare)
    assert not (tmp_path / "cache" / "edge_kws" / "native").exists()


@pytest.mark.slow
def test_source_distribution_installs_with_its_dependencies(copy_tree: Callable[[], Path], tmp_path: Path) -> None:
    wheel = _build(copy_tree())  # the wheel is built from the source distribution
    python = _bare_python(tmp_path, wheel)
    assert _run(python.with_name("edge-kws"), "--version", cwd=tmp_path).strip() == f"edge-kws {__version__}"
    assert "commands" in _run(python.with_name("edge-kws"), "models", cwd=tmp_path)
    _run(python.with_name("edge-kws"), "demo", cwd=tmp_path, PATH="", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert not (tmp_path / "cache" / "edge_kws" / "native").exists()
    assert not json.loads(_run(python, "-c", _ASK, cwd=tmp_path))["tensorflow"]
    _run(python, "-c", "import edge_kws; [getattr(edge_kws, name) for name in edge_kws.__all__]", cwd=tmp_path)
