"""Downloads that survive interruption: a part file, HTTP ranges, a checksum before the name is given."""

import errno
import hashlib
import http.client
import json
import shutil
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from edge_kws.errors import ConfigError

_BLOCK_BYTES = 1 << 18
_WORTH_ANOTHER_TRY = frozenset({408, 416, 425, 429, 500, 502, 503, 504})

Progress = Callable[[int, int | None], None]
"""Called with bytes so far and in all (None while unknown)."""


def fetch(
    url: str,
    dest: Path,
    sha256: str,
    progress: Progress | None = None,
    *,
    size_bytes: int | None = None,
    attempts: int = 5,
    retry_wait_s: float = 1.0,
    timeout_s: float = 30.0,
) -> Path:
    """Downloads `url` to `dest`, continuing `dest.part` where an earlier run or a broken connection left it.

    A server without ranges, or whose file has changed since (ETag, Last-Modified), makes it start again. `dest` appears only with the right
    checksum; a file already there with that checksum is left alone.

    Args:
        url: http or https.
        dest: the file to make; its folder is made too.
        sha256: of the whole file, hexadecimal.
        progress: see `Progress`.
        size_bytes: its size where known; checked before anything is downloaded.
        attempts: connections in a row that may bring nothing new.
        retry_wait_s: wait before the second, doubled each time.
        timeout_s: longest silence on a connection.

    Raises:
        ConfigError: bad URL, refused or missing file, no connection, wrong size or checksum, disk full, `dest` holds something else.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigError(f"{url}: expected an http:// or https:// address, found another; correct it")
    part = _Part(dest, url)
    try:
        if dest.exists():
            _require_checksum(dest, sha256, "delete it and run this again")
            return dest
        dest.parent.mkdir(parents=True, exist_ok=True)
        _download(part, progress, size_bytes, attempts, retry_wait_s, timeout_s)
        try:
            _require_checksum(part.path, sha256, "it was deleted; run this again, and if it stays wrong the server's file has changed")
        except ConfigError:
            part.discard()
            raise
        part.path.replace(dest)
        part.discard()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ConfigError(
                f"{dest}: the disk is full at {part.size()} bytes; make room and run this again, it continues there"
            ) from error
        raise ConfigError(f"{dest}: cannot write there ({error.strerror or error}); choose another folder") from error
    return dest


class _BrokenOffError(Exception):
    """The network gave up; another try may help."""


class _Part:
    """`NAME.part`, the bytes so far, and `NAME.part.json`, which file of which server they belong to."""

    def __init__(self, dest: Path, url: str) -> None:
        self.url = url
        self.path = dest.with_name(dest.name + ".part")
        self._origin_path = dest.with_name(dest.name + ".part.json")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def origin(self) -> dict[str, Any]:
        """`url`, `validator` and `total` of what is there; empty where that is unknown or another URL's, and the part then worthless."""
        try:
            origin: object = json.loads(self._origin_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        known = cast(dict[str, Any], origin) if isinstance(origin, dict) else {}
        return known if known.get("url") == self.url else {}

    def begin(self, validator: str | None, total: int | None) -> None:
        self.path.open("wb").close()  # first: the old bytes must never stand beside the new origin
        temporary = self._origin_path.with_name(self._origin_path.name + ".tmp")
        temporary.write_text(json.dumps({"url": self.url, "validator": validator, "total": total}), encoding="utf-8")
        temporary.replace(self._origin_path)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._origin_path.unlink(missing_ok=True)


def _download(part: _Part, progress: Progress | None, size_bytes: int | None, attempts: int, retry_wait_s: float, timeout_s: float) -> None:
    furthest, vain = part.size(), 0
    while True:
        try:
            return _transfer(part, progress, size_bytes, timeout_s)
        except _BrokenOffError as interruption:
            reached = part.size()
            # Only new ground counts: a server without ranges that always breaks off must not keep us for ever.
            vain = 0 if reached > furthest else vain + 1
            furthest = max(furthest, reached)
            if vain >= attempts:
                raise ConfigError(
                    f"{part.url}: {interruption} ({attempts} tries, {reached} bytes so far); run this again, it continues there"
                ) from interruption
            time.sleep(retry_wait_s * 2**vain)


def _transfer(part: _Part, progress: Progress | None, size_bytes: int | None, timeout_s: float) -> None:
    """One connection: the rest of the part, or all of it."""
    origin = part.origin()
    offset = part.size() if origin else 0
    if offset and offset == (origin.get("total") or size_bytes):
        return
    headers = {"Accept-Encoding": "identity", "User-Agent": "edge-kws"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if origin.get("validator"):
            headers["If-Range"] = str(origin["validator"])
    with _open(part, urllib.request.Request(part.url, headers=headers), timeout_s) as response:
        offset, total = _accept(part, response, offset, origin, size_bytes)
        if total is not None and total - offset > (free := shutil.disk_usage(part.path.parent).free):
            raise ConfigError(
                f"{part.path.parent}: expected room for {total - offset} bytes, found {free} free; make room or choose another folder"
            )
        done = offset
        with part.path.open("ab") as file:
            while block := _read(response):
                done += len(block)
                if total is not None and done > total:
                    part.discard()
                    raise ConfigError(f"{part.url}: expected {total} bytes, found more; the server's file has changed")
                file.write(block)
                if progress:
                    progress(done, total)
    if total is not None and done < total:
        raise _BrokenOffError(f"the connection ended at {done} of {total} bytes")


def _accept(
    part: _Part, response: http.client.HTTPResponse, offset: int, origin: dict[str, Any], size_bytes: int | None
) -> tuple[int, int | None]:
    """Where this answer begins and how many bytes the file has in all; empties the part if it begins at 0."""
    if response.status == 206:
        span, _, whole = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        total = int(whole) if whole.isdecimal() else cast(int | None, origin.get("total"))
        if span.partition("-")[0] != str(offset) or not offset or total != (origin.get("total") or total):
            part.discard()
            raise _BrokenOffError(f"the server answered a range that was not asked for ({response.headers.get('Content-Range')})")
        return offset, total or size_bytes
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() else None
    if size_bytes is not None and total not in (None, size_bytes):
        raise ConfigError(
            f"{part.url}: expected {size_bytes} bytes, found {total}; the server's file has changed, or a proxy answered in its place"
        )
    etag = response.headers.get("ETag")
    part.begin(etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified"), total)
    return 0, total or size_bytes


def _open(part: _Part, request: urllib.request.Request, timeout_s: float) -> http.client.HTTPResponse:
    try:
        return _http_only().open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the part is longer than the file
            part.discard()
        if error.code in _WORTH_ANOTHER_TRY:
            raise _BrokenOffError(f"the server answered {error.code} {error.reason}") from error
        raise ConfigError(
            f"{part.url}: expected the file, found HTTP {error.code} {error.reason}; check the address and the network's proxy"
        ) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise ConfigError(
                f"{part.url}: the server's certificate is not trusted ({error.reason.verify_message}); check the clock and the proxy"
            ) from error
        raise _BrokenOffError(f"no connection ({error.reason})") from error
    except (http.client.HTTPException, OSError, ValueError) as error:
        raise _BrokenOffError(f"no usable answer ({error or type(error).__name__})") from error


def _http_only() -> urllib.request.OpenerDirector:
    """An opener that follows a redirect to http or https and to nothing else."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(_BLOCK_BYTES)  # read() would drop what came before a broken connection
    except (http.client.HTTPException, OSError, ValueError) as error:
        raise _BrokenOffError(f"the connection broke off ({error or type(error).__name__})") from error


def _require_checksum(path: Path, sha256: str, next_step: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256.lower():
        raise ConfigError(f"{path}: expected SHA-256 {sha256}, found {found}; {next_step}")
