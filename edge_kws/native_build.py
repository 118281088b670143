"""Builds the host library from the C sources of a checkout, and tells whether the one at hand is stale.

Standard library only: the wheel's build hook loads this file by path, before `edge_kws` can be imported.
"""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

_MARKER = re.compile(rb"ekws_source_hash=([0-9a-f]{64})")
_TELLING = re.compile(r"error: |cannot find |undefined reference|CMake Error|No CMAKE_C_COMPILER")
_ATTEMPTS = 3


class NativeBuildError(Exception):
    """The host library could not be built; the message is one line and says what to do."""


def library_name() -> str:
    """File name of the shared library on this platform."""
    suffix = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")
    return f"libekws_host{suffix}"


def source_hash(root: Path) -> str:
    """SHA-256 over names and contents of all that decides what the library does (hex, 64 digits).

    Args:
        root: the checkout, holding `firmware/`.
    """
    firmware = root / "firmware"
    folders = ("src", "include", "host")
    files = [path for folder in folders for path in (firmware / folder).rglob("*.[ch]")]
    digest = hashlib.sha256()
    for path in sorted([*files, firmware / "CMakeLists.txt"]):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(firmware).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def embedded_hash(library: Path) -> str | None:
    """The source hash a built library carries, read without loading it; None if there is no such library."""
    try:
        found = _MARKER.search(library.read_bytes())
    except FileNotFoundError:
        return None
    return found.group(1).decode() if found else None


def ensure(root: Path, *, force: bool = False) -> Path:
    """The up-to-date library of a checkout, `edge_kws/libekws_host.*`, built if it is missing or stale.

    Any number of processes may call this at once: one builds, the others wait for it.

    Args:
        root: the checkout.
        force: build even if the hash matches (the file does not load here: another machine built it).

    Raises:
        NativeBuildError: no compiler, or the sources do not compile.
    """
    library = root / "edge_kws" / library_name()
    if not force and embedded_hash(library) == source_hash(root):
        return library
    with _lock(root / "build" / "native.lock"):
        if force or embedded_hash(library) != source_hash(root):
            build(root, library)
    return library


def build(root: Path, library: Path) -> None:
    """Compile the sources of `root` into `library`, which appears whole or not at all.

    Raises:
        NativeBuildError: no compiler, or the sources do not compile.
    """
    scratch = root / "build"
    scratch.mkdir(parents=True, exist_ok=True)
    for _ in range(_ATTEMPTS):
        digest = source_hash(root)
        with tempfile.TemporaryDirectory(prefix="native-", dir=scratch) as folder:
            built = _compile(root / "firmware", Path(folder), digest)
            if digest != source_hash(root):
                continue  # a source was saved while it compiled: what was built is neither the old nor the new one
            beside = library.with_name(f".{library.name}.{os.getpid()}")
            shutil.copyfile(built, beside)
            beside.replace(library)
            return
    raise NativeBuildError(f"{root / 'firmware'}: the sources kept changing during {_ATTEMPTS} builds; try again when they are saved")


def compile_packs(root: Path, folder: Path) -> list[str]:
    """Compile the shipped packs of `root`, as runners/native_library.py names them, into `folder`.

    Returns:
        Why packs are left out, one line each: they run all the same, in C where the user has a compiler, else in LiteRT.
    """
    packs = sorted(root.glob("models/*.tflite"))
    places = [str(root), str(root / "converters"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(place for place in places if place)}
    command = [sys.executable, "-m", "edge_kws.runners.prebuild", str(folder), *map(str, packs)]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        return [f"all of them: {(done.stderr.splitlines() or [f'exit code {done.returncode}'])[-1]}"]
    return done.stdout.splitlines()


def _compile(firmware: Path, folder: Path, digest: str) -> Path:
    cmake, cc = tool("cmake"), tool(os.environ.get("CC", "cc"), "gcc", "clang")
    if cmake is not None:
        ninja = tool("ninja")
        generator = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"] if ninja and sys.platform != "win32" else []
        options = ["-DCMAKE_BUILD_TYPE=Release", f"-DEKWS_SOURCE_HASH={digest}"]
        _run([cmake, "-S", str(firmware), "-B", str(folder), *generator, *options])
        _run([cmake, "--build", str(folder), "--config", "Release", "--target", "ekws_host"])
    elif cc is not None:
        sources = [str(path) for path in sorted(firmware.glob("src/**/*.c")) + sorted(firmware.glob("host/*.c"))]
        flags = ["-std=c99", "-O3", "-DNDEBUG", "-fPIC", "-shared", f'-DEKWS_SOURCE_HASH="{digest}"']
        includes = [f"-I{firmware / 'include'}", f"-I{firmware / 'src'}"]
        _run([cc, *flags, *includes, *sources, "-o", str(folder / library_name())])
    else:
        raise NativeBuildError("no C compiler found to build the native library: install one (Debian: apt-get install gcc libc6-dev)")
    found = next(folder.rglob(library_name()), None)
    if found is None:
        raise NativeBuildError(f"{firmware}: the build succeeded but left no {library_name()}")
    return found


def tool(*names: str) -> str | None:
    """A program beside the interpreter (PyPI's cmake and ninja) or on PATH."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line.strip() for line in (done.stdout + "\n" + done.stderr).splitlines() if line.strip()]
        first = next((line for line in lines if _TELLING.search(line)), lines[-1] if lines else f"exit code {done.returncode}")
        raise NativeBuildError(f"the native library does not build: {first} (command: {Path(command[0]).name} in firmware/)")


@contextlib.contextmanager
def _lock(path: Path) -> Generator[None]:
    """Exclusive between processes; released by the system even if the holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as handle:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle.fileno(), msvcrt.LK_LOCK, 1)
            try:
                yield
            finally:
                handle.seek(0)
                msvcrt.locking(handle.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
