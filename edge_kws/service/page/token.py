"""The secret that opens the page from other machines."""

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path

from edge_kws.errors import ConfigError

_TOKEN_BYTES = 32
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
COOKIE = "edge_kws_page"


def read_or_make(path: Path) -> tuple[str, bool]:
    """The token kept in `path`; a new one, 256 random bits, where there is none. Returns it and whether it is new.

    Raises:
        ConfigError: the file cannot be read or written, is readable by others, or holds something else.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return _make(path), True
    except OSError as error:
        raise ConfigError(f"{path}: expected the page's token, found: {error.strerror}; correct it, or remove the file") from None
    with os.fdopen(handle, "rb") as file:
        mode, text = os.fstat(file.fileno()).st_mode & 0o777, file.read(100).decode("latin-1").strip()
    if mode & 0o077:
        raise ConfigError(f"{path}: expected mode 600, found {mode:o}: others may know the token; remove the file for a new one")
    if not _TOKEN.fullmatch(text):
        raise ConfigError(f"{path}: expected a token of 43 letters, digits, - and _, found something else; remove the file for a new one")
    return text, False


def _make(path: Path) -> str:
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(token + "\n")
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: expected a folder that can be written, found: {error.strerror}; set state_folder") from None
    return token


class Lock:
    """Tells whether a request knows the token: as a bearer token, or by the cookie that logging in gives."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self.cookie = hmac.new(self._token, b"edge_kws page", hashlib.sha256).hexdigest()

    def fits(self, token: str) -> bool:
        """Whether this is the token; takes equally long for every wrong one."""
        return hmac.compare_digest(self._token, token.encode("utf-8", "replace"))

    def opens(self, authorization: str | None, cookies: str | None) -> bool:
        """Whether these header values carry the token or its cookie."""
        if authorization is not None:
            scheme, _, value = authorization.partition(" ")
            return scheme.lower() == "bearer" and self.fits(value.strip())
        pairs = (pair.strip().partition("=") for pair in (cookies or "").split(";"))
        values = [value.encode("utf-8", "replace") for name, _, value in pairs if name == COOKIE]
        return any(hmac.compare_digest(self.cookie.encode(), value) for value in values)
