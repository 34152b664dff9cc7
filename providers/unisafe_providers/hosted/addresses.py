"""Which addresses of the internet are public, in whatever spelling they come.

Sources: IANA, "IPv4 Special-Purpose Address Registry" and "IPv6 Special-Purpose Address Registry"; RFC 6052 (NAT64), RFC 3056
(6to4), RFC 4291 (IPv4-mapped); the metadata addresses from the documents of AWS, Google Cloud, Azure, Alibaba and Oracle.
"""

from __future__ import annotations

import re
import socket
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address

PUBLIC = "a public address"
LOOPBACK = "a loopback address"
PRIVATE = "an address of a private network"
CARRIER = "an address of a carrier's own network"
BENCHMARK = "an address for benchmarks of networks"
LINK_LOCAL = "a link-local address"
METADATA = "a cloud's metadata address"
NOBODY = "an address that no web server has"

KINDS = tuple(
    (ip_network(network), kind)
    for kind, networks in (
        (LOOPBACK, "127.0.0.0/8 ::1/128"),
        (PRIVATE, "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fec0::/10"),
        (CARRIER, "100.64.0.0/10"),
        (BENCHMARK, "198.18.0.0/15 2001:2::/48"),
        (LINK_LOCAL, "169.254.0.0/16 fe80::/10"),
    )
    for network in networks.split()
)
"""Kinds of addresses that an endpoint may have too. What is neither here nor global belongs to nobody: documentation, multicast."""
METADATA_ADDRESSES = frozenset(
    map(
        ip_address,
        ["169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"],
    )
)
NAT64, COMPATIBLE, TRANSLATED = (ip_network(network) for network in ("64:ff9b::/96", "::/96", "::ffff:0:0:0/96"))
EMBEDDING = (NAT64, COMPATIBLE, TRANSLATED)
"""Networks of IPv6 whose last 32 bits are an address of IPv4."""
NOT_GLOBAL = tuple(ip_network(network) for network in ("64:ff9b:1::/48", "2001::/32", "192.88.99.0/24", "5f00::/16", "3fff::/20"))
"""Ways into other networks that some versions of Python call global."""
WRITTEN_IN_NUMBERS = re.compile(r"[0-9a-fx.]+", re.I)
LOCAL_NAMES = re.compile(r"(?:.+\.)?(?:localhost|localdomain|local|internal|intranet|lan|home\.arpa)|metadata", re.I)
"""Names that no public server has (RFC 6761, 6762, 8375, and ICANN's `.internal`)."""


def read_address(host: str) -> Address | None:
    """The address that a host is by its spelling: decimal, octal, hexadecimal, short, in brackets; None for a name."""
    host = tidy_host(host).partition("%")[0]
    try:
        return ip_address(host)
    except ValueError:
        pass
    if WRITTEN_IN_NUMBERS.fullmatch(host) and host[:1].isdigit():
        try:
            return IPv4Address(socket.inet_aton(host))
        except OSError:
            pass
    return None


def tidy_host(host: str) -> str:
    """A host's name as resolvers see it: without brackets and the full stop at its end, letters of other widths as plain ones."""
    return unicodedata.normalize("NFKC", host).strip("[]").rstrip(".").lower()


def is_local_name(host: str) -> bool:
    """Whether a name means this machine or its own network wherever it is resolved."""
    name = tidy_host(host)
    return LOCAL_NAMES.fullmatch(name) is not None or ("." not in name and read_address(name) is None)


def kind_of(address: Address) -> str:
    """What an address is, in words; `PUBLIC` for one that everybody can reach. An address of IPv4 within one of IPv6 counts."""
    if address in METADATA_ADDRESSES:
        return METADATA
    inner = _read_inner(address) if isinstance(address, IPv6Address) else None
    if inner is not None:
        return kind_of(inner)
    for network, kind in KINDS:
        if address in network:
            return kind
    if address.is_multicast or not address.is_global or any(address in network for network in NOT_GLOBAL):
        return NOBODY
    return PUBLIC


def _read_inner(address: IPv6Address) -> IPv4Address | None:
    """The address of IPv4 that one of IPv6 stands for (mapped, 6to4, NAT64); None for one of IPv6 alone."""
    if address.ipv4_mapped is not None or address.sixtofour is not None:
        return address.ipv4_mapped or address.sixtofour
    if int(address) > 1 and any(address in network for network in EMBEDDING):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Addresses that are as near as an endpoint is, beside the public ones.

    Args:
        kinds: kinds of which all are.
        addresses: single ones.
    """

    kinds: frozenset[str] = frozenset()
    addresses: frozenset[Address] = frozenset()

    @classmethod
    def of(cls, endpoint: Iterable[Address]) -> Neighbourhood:
        """That of an endpoint at these addresses: none if one of them is public, since then its names may lead anywhere."""
        addresses = frozenset(endpoint)
        kinds = frozenset(map(kind_of, addresses))
        if PUBLIC in kinds:
            return cls()
        return cls(kinds - {LINK_LOCAL, METADATA, NOBODY}, addresses)

    def holds(self, address: Address) -> bool:
        """Whether an address is public or in the neighbourhood."""
        kind = kind_of(address)
        return kind == PUBLIC or kind in self.kinds or address in self.addresses
