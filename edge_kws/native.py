"""The C library that front end and decoder run in: found, never stale in a checkout, loaded once."""

import ctypes
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_kws.errors import FrontendError
from edge_kws.native_build import NativeBuildError, ensure, library_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PACKAGE = Path(__file__).resolve().parent


@cache
def library() -> ctypes.CDLL:
    """The loaded host library.

    In a checkout its source hash is compared with `firmware/` first, and it is rebuilt if they differ. An installed wheel
    carries the library alone.

    Raises:
        FrontendError: the library is missing, does not load, or cannot be rebuilt.
    """
    root = _checkout(_PACKAGE)
    try:
        if root is None:
            return _load(_PACKAGE / library_name())
        try:
            return _load(ensure(root))
        except OSError:  # built on another machine that shares this folder
            return _load(ensure(root, force=True))
    except NativeBuildError as error:
        raise FrontendError(str(error)) from error
    except OSError as error:
        raise FrontendError(f"{_PACKAGE / library_name()}: cannot be loaded ({error}); reinstall edge-kws for this platform") from error


def address(array: "NDArray[Any]") -> int:
    """Where a contiguous array's data lies; the caller keeps the array alive. A quarter of the time of `array.ctypes.data`."""
    if array.flags.writeable and array.size:
        return ctypes.addressof(ctypes.c_char.from_buffer(array.data))
    return array.ctypes.data


def _checkout(package: Path) -> Path | None:
    """The source tree this package runs from, None when it is installed from a wheel."""
    root = package.parent
    return root if (root / "firmware" / "src").is_dir() and (root / "pyproject.toml").is_file() else None


def _load(path: Path) -> ctypes.CDLL:
    loaded = ctypes.CDLL(str(path))
    loaded.ekws_source_hash.restype = ctypes.c_char_p
    loaded.ekws_source_hash.argtypes = []
    return loaded
