"""Places on the network as an operator writes them: `api.example.com`, `127.0.0.1:8900`, `*.example.com`, `10.0.0.0/8`, `*`.

The law: what is not public (loopback, link-local, private networks, and so on) is reached only where an operator named it,
by its address or as `localhost`. That a name leads there is not enough, or whoever owns a name could open the house.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from msgspec import Struct

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
LOCALHOST: Final = "localhost"
_NAME: Final = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\Z")
_PORT: Final = re.compile(r"[0-9]{1,5}\Z")
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
# All that is given out of IPv6. Beyond it are old and local ways to write an IPv4 address (::127.0.0.1, 64:ff9b:1::/48) and
# what a site keeps to itself (fec0::/10), which Python counts as global, some of it in some versions.
_GIVEN_OUT: Final = ipaddress.ip_network("2000::/3")
# For documentation (RFC 9637), and the relays of 6to4 (RFC 7526): given out once, and what answers there is in the own network.
_NOBODYS: Final = (ipaddress.ip_network("3fff::/20"), ipaddress.ip_network("192.88.99.0/24"))


class BadPlace(ValueError):
    """No place on the network."""


class Place(Struct, frozen=True):
    """A name (perhaps with a wildcard) or a network of addresses, and a port; without one, those of HTTP and HTTPS."""

    text: str
    name: str | None = None
    network: str | None = None
    port: int | None = None

    def covers(self, host: str, port: int) -> bool:
        """True if a URL with this host and port leads here. The host is in lower case, an address without brackets."""
        if not self._has_port(port):
            return False
        if self.name is None:
            address = address_of(host)
            return address is not None and address in self._network()
        if self.name == "*":
            return True
        if self.name.startswith("*."):
            return host.endswith(self.name[1:]) and address_of(host) is None
        return host == self.name

    def names(self, address: Address, port: int) -> bool:
        """True if this names an address that a name led to."""
        return self.network is not None and self._has_port(port) and address in self._network()

    def _has_port(self, port: int) -> bool:
        return port in DEFAULT_PORTS.values() if self.port is None else port == self.port

    def _network(self) -> Network:
        assert self.network is not None
        return ipaddress.ip_network(self.network)


def parse_place(text: str) -> Place:
    """The place that a text means. Raises BadPlace."""
    if "://" in text:
        raise BadPlace(f"{text!r} is no place on the network: leave out what stands before the host, and after it")
    host, port = _split(text.strip().lower())
    if host == "*":
        return Place(text, name="*", port=port)
    try:
        return Place(text, network=str(ipaddress.ip_network(host, strict=False)), port=port)
    except ValueError:
        pass
    if not _NAME.match(host) or re.fullmatch(r"[0-9.]+|0x[0-9a-f.x]*", host):
        raise BadPlace(
            f"{text!r} is no place on the network: write a host (api.example.com), a host with a port (127.0.0.1:8900, "
            "[::1]:8900), *.example.com, a network (10.0.0.0/8), or * for all that is public"
        )
    return Place(text, name=host, port=port)


def address_of(host: str) -> Address | None:
    """The address that a host is written as, None for a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """True for an address of the public network. One that only wraps another is what it wraps."""
    inner = _wrapped(address)
    if inner is not None:
        return is_public(inner)
    if isinstance(address, ipaddress.IPv6Address) and address not in _GIVEN_OUT:
        return False
    return address.is_global and not address.is_multicast and not any(address in network for network in _NOBODYS)


def _wrapped(address: Address) -> Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 address only writes in another way, else the address."""
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def _split(text: str) -> tuple[str, int | None]:
    """The host without brackets, and the port."""
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise BadPlace(f"{text!r} is no place on the network: a bracket is missing")
        return host, _port(text, rest[1:]) if rest else None
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, _port(text, port)
    return text, None


def _port(text: str, port: str) -> int:
    if not _PORT.match(port) or not 0 < int(port) < 65536:
        raise BadPlace(f"{text!r} is no place on the network: {port!r} is no port")
    return int(port)
