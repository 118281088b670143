"""Who may ask, how much and how often: stands before every handler, and puts the same protective headers on every answer."""

import asyncio
import json
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_kws.service.log import Level, log
from edge_kws.service.page.hosts import Hosts
from edge_kws.service.page.rate import RateLimit
from edge_kws.service.page.token import Lock

MAX_BODY_BYTES = 4096
MAX_TARGET_BYTES = 1024
BODY = "edge_kws.body"
LOGIN = "/api/login"
DEFECT = "a defect in edge_kws: see the service's journal"
_BODY_TIMEOUT_S = 10.0
_DECISIVE = {"host", "origin", "authorization", "content-type", "content-length", "sec-fetch-site", "sec-fetch-mode"}
_POLICY = "; ".join((
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'", "media-src 'self' blob:",
    "manifest-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
    "trusted-types 'none'",
))  # fmt: skip
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), interest-cohort=()",
}
_RAW_HEADERS = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]


class RefusalError(Exception):
    """An answer instead of what was asked for: an HTTP status and one line."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Rules:
    """What the guard goes by; without a lock everybody who gets here may ask."""

    hosts: Hosts
    lock: Lock | None
    requests: RateLimit = field(default_factory=lambda: RateLimit(per_second=20, burst=100))
    logins: RateLimit = field(default_factory=lambda: RateLimit(per_second=0.1, burst=10))


class Guard:
    """ASGI middleware. What passes has a known Host, no foreign origin, a small body (at `scope[BODY]`) and, where asked for, the token."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app, self._rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers or hands on one request."""
        if scope["type"] != "http":
            return
        begun = False

        async def protected(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                names = {name for name, _ in message["headers"]}
                added = [*_RAW_HEADERS, (b"cache-control", b"no-store")]
                message["headers"] = [*message["headers"], *((name, value) for name, value in added if name not in names)]
            await send(message)

        try:
            headers = _single_headers(scope)
            self._check(scope, headers)
            scope[BODY] = await _read_body(headers, receive)
            await self._app(scope, receive, protected)
        except RefusalError as refusal:
            if not begun:
                await _answer(refusal, protected)
        except Exception as error:  # a defect of ours is one line in the journal and one for the browser, never a traceback
            log(Level.ERROR, f"page: {scope['method'][:10]} {scope['path'][:100]}: unexpected {type(error).__name__}: {error}")
            if not begun:
                await _answer(RefusalError(500, DEFECT), protected)

    def _check(self, scope: Scope, headers: dict[str, str]) -> None:
        rules, path, method = self._rules, scope["path"], scope["method"]
        address = (scope["client"] or ("?",))[0]
        if not rules.requests.allows(address):
            raise RefusalError(429, "too many requests: wait a few seconds")
        if method not in ("GET", "HEAD", "POST"):
            raise RefusalError(405, "expected GET, HEAD or POST")
        if len(scope["raw_path"]) + len(scope["query_string"]) > MAX_TARGET_BYTES:
            raise RefusalError(414, f"expected an address of at most {MAX_TARGET_BYTES} bytes")
        if not scope["query_string"].isascii():
            raise RefusalError(400, "expected an address in ASCII")
        host = headers.get("host", "")
        if not rules.hosts.are_ours(host):
            raise RefusalError(421, "this page does not answer to that host name: add it to `hosts` in [page] if it is yours")
        self._check_origin(path, method, host, headers)
        if method == "POST" and headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise RefusalError(415, "expected content-type application/json")
        if path == LOGIN:
            if not rules.logins.allows(address):
                raise RefusalError(429, "too many attempts: wait a minute")
        elif rules.lock is not None and path.startswith("/api/") and not _opened(rules.lock, headers):
            raise RefusalError(401, "expected the page's token")

    def _check_origin(self, path: str, method: str, host: str, headers: dict[str, str]) -> None:
        origin = headers.get("origin")
        if origin is not None and not self._rules.hosts.is_own_origin(origin, host):
            raise RefusalError(403, "asked by a page that is not ours")
        site = headers.get("sec-fetch-site", "none")
        visiting = method != "POST" and not path.startswith("/api/") and headers.get("sec-fetch-mode") == "navigate"
        if site not in ("none", "same-origin") and not visiting:
            raise RefusalError(403, "asked by a page that is not ours")


def _opened(lock: Lock, headers: dict[str, str]) -> bool:
    return lock.opens(headers.get("authorization"), headers.get("cookie"))


def _single_headers(scope: Scope) -> dict[str, str]:
    """The headers by lower-case name. What decides about access, or about where a body ends, must not come twice."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name in headers:
            if name in _DECISIVE:
                raise RefusalError(400, f"expected one {name} header")
            value = f"{headers[name]}; {value}"
        headers[name] = value
    return headers


async def _read_body(headers: dict[str, str], receive: Receive) -> bytes:
    length = headers.get("content-length", "0")
    if not length.isascii() or not length.isdecimal() or len(length) > 9 or int(length) > MAX_BODY_BYTES:
        raise RefusalError(413, f"expected a body of at most {MAX_BODY_BYTES} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            more = True
            while more:
                message = await receive()
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > MAX_BODY_BYTES:
                    raise RefusalError(413, f"expected a body of at most {MAX_BODY_BYTES} bytes")
    except TimeoutError:
        raise RefusalError(408, "the body took too long") from None
    return bytes(body)


async def _answer(refusal: RefusalError, send: Send) -> None:
    body = json.dumps({"error": str(refusal)}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    if refusal.status == 429:
        headers.append((b"retry-after", b"10"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
