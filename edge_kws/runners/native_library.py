"""The shared library of a model's generated C: the one that came in the wheel, else from the user's cache, else compiled now.

Its name is a hash of the C itself, so a library is never stale: other C has another name.
"""

import ctypes
import hashlib
import importlib.util
import os
import platform
import re
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from edge_kws.errors import ConversionError, ModelError
from edge_kws.native_build import library_name, tool
from edge_kws_converters.compiler import compile_model
from edge_kws_converters.writers.c import CModel
from edge_kws_converters.writers.host import host_source

_SHIPPED = Path(__file__).resolve().parents[1] / "compiled"
_FLAGS = ("-std=c99", "-O3", "-shared", "-fPIC")
_SOURCE, _HEADER = "model.c", "model.h"
# Zig compiles for the processor at hand unless told otherwise; a cache may be shared by several.
_ZIG = ("-m", "ziglang", "cc", "-mcpu=baseline")


class NoCompilerError(ModelError):
    """This machine has no working C compiler."""


def cache_folder() -> Path:
    """Where compiled models are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "edge_kws" / "native"


def host_model(model: bytes, stride: int) -> CModel:
    """C of a model for this machine: its streaming form, or whole windows where it has none. Raises ConversionError."""
    try:
        return compile_model(model, stride=stride)
    except ConversionError:
        return compile_model(model)


def load(model: CModel) -> ctypes.CDLL:
    """The loaded library of a model; only one that neither came in the wheel nor lies in the cache takes a compiler.

    Raises:
        NoCompilerError: no C compiler.
        ModelError: the C does not compile here, or the cache cannot be written.
        OSError: what was compiled does not load.
    """
    source = host_source(model)
    name = _name(_FLAGS, model.header, source)
    if (_SHIPPED / name).is_file():
        try:
            return ctypes.CDLL(str(_SHIPPED / name))
        except OSError:
            pass  # a wheel of another platform, unpacked here
    command, version = _compiler()
    library = cache_folder() / _name(command, version, platform.machine(), sys.platform, name)
    if not library.is_file():
        _build(command, source, model.header, library)
    return ctypes.CDLL(str(library))


def compile_into(folder: Path, model: CModel) -> Path:
    """Compiles a model for the wheel, under the name by which `load` finds it in any place. Raises as `load`."""
    source = host_source(model)
    library = folder / _name(_FLAGS, model.header, source)
    _build(_compiler()[0], source, model.header, library)
    return library


def _name(*parts: str | tuple[str, ...]) -> str:
    text = "\n".join("\n".join(part) if isinstance(part, tuple) else part for part in parts)
    return f"{hashlib.sha256(text.encode()).hexdigest()[:32]}{Path(library_name()).suffix}"


def _build(command: tuple[str, ...], source: str, header: str, library: Path) -> None:
    """Compiles into `library`, which appears whole or not at all."""
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".build-", dir=library.parent) as folder:
            (Path(folder) / _SOURCE).write_text(source)
            (Path(folder) / _HEADER).write_text(header)
            built = Path(folder) / library.name
            _run([*command, *_FLAGS, f"-I{folder}", str(Path(folder) / _SOURCE), "-o", str(built)])
            built.replace(library)
    except OSError as error:
        raise ModelError(f"{library.parent}: expected a folder to keep compiled models in, found: {error}; set XDG_CACHE_HOME") from None


@cache
def _compiler() -> tuple[tuple[str, ...], str]:
    """Command and version line of the C compiler: the system's, else PyPI's ziglang. Raises NoCompilerError."""
    found = tool(os.environ.get("CC", "cc"), "gcc", "clang")
    if found is not None:
        command = (found,)
    elif importlib.util.find_spec("ziglang") is not None:
        command = (sys.executable, *_ZIG)
    else:
        raise NoCompilerError(
            "no C compiler: expected cc, gcc, clang or PyPI's ziglang, found none; apt-get install gcc libc6-dev, or pip install ziglang"
        )
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False).stdout.splitlines()
    return command, version[0] if version else ""


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if re.search(r"error|cannot|undefined", line)]
        found = (errors or done.stderr.splitlines() or [f"exit code {done.returncode}"])[0]
        raise ModelError(f"compiled model: expected C that {command[0]} compiles, found: {found[:200]}; install gcc and libc6-dev")
