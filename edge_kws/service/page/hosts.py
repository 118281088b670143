"""Which names the page answers to. A stranger's domain that resolves to this machine (DNS rebinding) is not one of them."""

import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]{2,45}\]|[a-z0-9_.-]{1,253})(:(?P<port>[0-9]{1,5}))?")
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


def is_loopback(host: str) -> bool:
    """Whether this address is reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True)
class Hosts:
    """Values of `Host` and `Origin` that are ours.

    Attributes:
        port: ours.
        names: the names we have under our port.
        proxied: names, with a port where it is not the scheme's own, under which a reverse proxy shows the page.
        any_address: whether every IP address will do under our port: nobody can make a stranger's name of one.
    """

    port: int
    names: frozenset[str]
    proxied: frozenset[str]
    any_address: bool

    @classmethod
    def of(cls, host: str, port: int, proxied: tuple[str, ...]) -> "Hosts":
        """For a page bound to host and port."""
        names = {*_LOOPBACK_NAMES, f"[{host}]" if ":" in host else host.lower()}
        if not is_loopback(host):
            own = socket.gethostname().lower()
            names |= {own, f"{own.partition('.')[0]}.local"}
        return cls(port, frozenset(names), frozenset(name.lower() for name in proxied), not is_loopback(host))

    def are_ours(self, host: str) -> bool:
        """Whether the value of a Host header names us."""
        host = host.lower()
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name, port = found["name"], int(found["port"] or 80)
        if host in self.proxied or (port in (80, 443) and name in self.proxied):
            return True
        return port == self.port and (name in self.names or (self.any_address and _is_address(name)))

    def is_own_origin(self, origin: str, host: str) -> bool:
        """Whether a page from this origin is ours, given the (accepted) Host header of its request."""
        try:
            parts = urlsplit(origin.lower())
            plain = parts.scheme in ("http", "https") and f"{parts.scheme}://{parts.netloc}" == origin.lower()
        except ValueError:
            return False
        if not plain or not _HOST.fullmatch(parts.netloc):
            return False
        if parts.netloc == host.lower() or parts.netloc in self.proxied:
            return True
        name, _, port = parts.netloc.rpartition(":")
        return port == str(self.port) and name in _LOOPBACK_NAMES


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
