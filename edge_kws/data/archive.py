"""Unpacks archives from the network into a folder that is either whole or not there."""

import gzip
import io
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol, cast

from edge_kws.errors import ConfigError

_BLOCK_BYTES = 1 << 18
_HEADER_ALLOWANCE_BYTES = 1 << 20  # a pax header is read into memory whole: one that declares gigabytes is an attack
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    struct.error,
    EOFError,
    LookupError,
    RuntimeError,
    ValueError,
)

UnpackProgress = Callable[[int, int], None]
"""Called with archive bytes read so far and in all."""


@dataclass(frozen=True)
class Limits:
    """What an archive may unpack to."""

    members: int = 500_000
    member_bytes: int = 4 << 30
    total_bytes: int = 32 << 30


@dataclass(frozen=True)
class _Member:
    name: str
    is_folder: bool
    size: int
    open: Callable[[], IO[bytes]]


class _Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


class _MeteredReader:
    """Hands on decompressed bytes until the allowance is spent."""

    def __init__(self, stream: _Readable, archive: Path) -> None:
        self._stream = stream
        self._archive = archive
        self._left = 0

    def allow(self, size: int) -> None:
        self._left = size

    def read(self, size: int = -1) -> bytes:
        block = self._stream.read(size)
        self._left -= len(block)
        if self._left < 0:
            found = f"more than {_HEADER_ALLOWANCE_BYTES} bytes"
            raise ConfigError(f"{self._archive}: expected a small header before each member, found {found}; do not trust it")
        return block


def extract(archive: Path, dest: Path, *, limits: Limits = Limits(), progress: UnpackProgress | None = None) -> None:
    """Unpacks a .tar.gz, .tgz, .tar or .zip into `dest`, which must be absent or an empty folder.

    Everything goes to `.NAME.unpacking` beside `dest` and is renamed at the end; what an interrupted run left there is thrown away first.
    Only plain files and folders are taken, with ordinary permissions: links of any kind, devices, absolute names, `..` and sizes beyond
    `limits` end it, and nothing of the archive stays.

    Raises:
        ConfigError: such a member, a damaged archive, no space, or `dest` in use.
    """
    if dest.is_symlink() or (dest.exists() and (not dest.is_dir() or any(dest.iterdir()))):
        raise ConfigError(f"{dest}: expected no such folder or an empty one to unpack {archive.name} into, found it in use; move it away")
    staging = dest.parent / f".{dest.name}.unpacking"
    try:
        dest.parent.mkdir(parents=True, exist_ok=True)
        _remove(staging)
        staging.mkdir()
        _unpack(archive, staging, limits, progress)
        if dest.exists():
            dest.rmdir()
        staging.replace(dest)
    except _DAMAGE as error:
        raise ConfigError(f"{archive}: expected a whole archive, found it damaged ({error}); delete it and download it again") from error
    except OSError as error:
        raise ConfigError(f"{dest}: cannot unpack {archive.name}: {error.strerror or error}; make room or choose another folder") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _remove(staging: Path) -> None:
    if staging.is_symlink() or staging.is_file():
        staging.unlink()
    elif staging.exists():
        shutil.rmtree(staging)


def _unpack(archive: Path, staging: Path, limits: Limits, progress: UnpackProgress | None) -> None:
    packed_bytes = archive.stat().st_size
    with archive.open("rb") as stream:
        members = _zip_members(archive, stream) if archive.suffix.lower() == ".zip" else _tar_members(archive, stream, staging)
        count = total_bytes = 0
        for member in members:
            count, total_bytes = count + 1, total_bytes + member.size
            _check_limits(archive, member, count, total_bytes, limits)
            target = _target(archive, member.name, staging)
            if member.is_folder:
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                _write(archive, member, target)
            if progress:
                progress(min(stream.tell(), packed_bytes), packed_bytes)
    if count == 0:
        raise ConfigError(f"{archive}: expected files, found an empty archive; delete it and download it again")


def _check_limits(archive: Path, member: _Member, count: int, total_bytes: int, limits: Limits) -> None:
    if member.size < 0 or member.size > limits.member_bytes:
        raise _refused(archive, member.name, f"a declared size of {member.size} bytes (limit {limits.member_bytes})")
    if total_bytes > limits.total_bytes:
        raise _refused(archive, member.name, f"more than {limits.total_bytes} bytes in all")
    if count > limits.members:
        raise _refused(archive, member.name, f"more than {limits.members} members")


def _target(archive: Path, name: str, staging: Path) -> Path:
    """Where a member goes; `staging` holds no link, so a name without `..` cannot leave it."""
    path = PurePosixPath(name)
    if not name or "\0" in name or "\\" in name or path.is_absolute() or ".." in path.parts or any(":" in part for part in path.parts):
        raise _refused(archive, name, "a name that leaves the folder or is no plain name")
    return staging.joinpath(*path.parts)


def _refused(archive: Path, name: str, found: str) -> ConfigError:
    expected = "expected a plain file or folder inside the archive"
    return ConfigError(f"{archive}: member {name[:200]!r}: {expected}, found {found}; do not trust it, nothing was unpacked")


def _write(archive: Path, member: _Member, target: Path) -> None:
    left = member.size
    try:
        created = target.open("xb")
    except FileExistsError as error:
        raise _refused(archive, member.name, "a second member of that name") from error
    with created, member.open() as content:
        while block := content.read(_BLOCK_BYTES):
            left -= len(block)
            if left < 0:
                break
            created.write(block)
    if left != 0:
        raise _refused(archive, member.name, f"{'more' if left < 0 else 'fewer'} bytes than the {member.size} declared")


def _tar_members(archive: Path, stream: io.BufferedReader, staging: Path) -> Iterator[_Member]:
    packed = stream.peek(2)[:2] == b"\x1f\x8b"
    metered = _MeteredReader(gzip.GzipFile(fileobj=stream) if packed else stream, archive)
    metered.allow(_HEADER_ALLOWANCE_BYTES)
    with tarfile.open(fileobj=cast(IO[bytes], metered), mode="r|") as tar:
        while True:
            metered.allow(_HEADER_ALLOWANCE_BYTES)
            member = tar.next()
            if member is None:
                break
            if not (member.isreg() or member.isdir()) or member.issparse():
                raise _refused(archive, member.name, _tar_kind(member))
            _target(archive, member.name, staging)  # before the filter, which fails on odd names in odd ways
            if hasattr(tarfile, "data_filter"):  # from Python 3.11.4 on: a second opinion
                try:
                    tarfile.data_filter(member, str(staging))
                except tarfile.FilterError as error:
                    raise _refused(archive, member.name, str(error)) from error
            metered.allow(_HEADER_ALLOWANCE_BYTES + member.size)
            yield _Member(member.name, member.isdir(), member.size, lambda member=member: _content(tar, member))

    metered.allow(_HEADER_ALLOWANCE_BYTES)
    while block := metered.read(_BLOCK_BYTES):  # to the end, where gzip has its checksum; tar pads with zeros
        if block.strip(b"\0"):
            raise tarfile.ReadError("data after its end")


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(member)
    if content is None:
        raise tarfile.ReadError(f"{member.name} has no content")
    return content


def _tar_kind(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return f"a {'symbolic' if member.issym() else 'hard'} link to {member.linkname[:200]!r}"
    return "a device" if member.isdev() else f"a member of type {member.type!r}"


def _zip_members(archive: Path, stream: IO[bytes]) -> Iterator[_Member]:
    with zipfile.ZipFile(stream) as packed:
        for info in packed.infolist():
            mode = info.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, info.filename, "a link or device")
            if info.flag_bits & 1:
                raise _refused(archive, info.filename, "an encrypted member")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise _refused(archive, info.filename, f"compression of kind {info.compress_type}")
            yield _Member(info.filename, info.filename.endswith("/"), info.file_size, lambda info=info: packed.open(info))
