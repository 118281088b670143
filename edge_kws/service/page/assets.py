"""The page's own files, read once: what is not in the table does not exist."""

import hashlib
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response

_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}


class Assets:
    """Answers with a file of `static/`, or not at all."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, str, str]] = {}
        for file in resources.files("edge_kws.service.page").joinpath("static").iterdir():
            kind = _KINDS.get(f".{file.name.rpartition('.')[2]}")
            if kind is not None:
                data = file.read_bytes()
                path = "/" if file.name == "index.html" else f"/{file.name}"
                self._files[path] = data, kind, f'"{hashlib.sha256(data).hexdigest()[:20]}"'

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the files are shown."""
        return tuple(self._files)

    async def answer(self, request: Request) -> Response:
        """One file; 304 where the browser has it already."""
        data, kind, tag = self._files[request.url.path]
        headers = {"etag": tag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(data, media_type=None, headers=headers | {"content-type": kind})
