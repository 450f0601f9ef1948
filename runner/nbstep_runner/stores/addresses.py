"""Which addresses a notebook's URI may reach: public ones, unless private ones are allowed.

A name is resolved once, all its addresses are checked, and the connection goes to one of those: a second resolution
could answer otherwise (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from typing import Final

from nbstep_runner.errors import BadInputError
from nbstep_runner.stores.retrying import TransientError

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_CARRY_IPV4: Final = tuple(map(ipaddress.IPv6Network, ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")))
"""Networks whose last 32 bits are an address of IPv4: compatible, translated (RFC 2765), NAT64 (RFC 6052, 8215)."""
_NOT_PUBLIC: Final = tuple(map(ipaddress.ip_network, ("64:ff9b:1::/48", "fec0::/10", "192.88.99.0/24")))
"""Networks that ``ipaddress`` takes for global, with no public server: local NAT64, site-local, 6to4 relays."""
_METADATA: Final = frozenset(
    map(
        ipaddress.ip_address,
        (
            "168.63.129.16",
            "192.0.0.192",
            "100.100.100.200",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fe80::a9fe:a9fe",
        ),
    )
)
"""Metadata services that are not at link-local addresses of IPv4: Azure's, Oracle's, Alibaba's; by IPv6 Amazon's two,
Google's and OpenStack's."""


def checked_addresses(host: str, port: int, *, allow_private: bool) -> tuple[str, ...]:
    """The addresses of a host, in the resolver's order.

    Raises:
        BadInputError: One of them is a metadata service or where such services are (link-local, IPv4), which have no
            notebook and the machine's own credentials; or loopback or private, and that is not allowed.
        TransientError: The name does not resolve now.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise TransientError(f"the name {host} does not resolve") from error
    addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    if never := next(filter(_is_metadata, addresses), None):
        raise BadInputError(
            f"{host} is at {never}, where a machine asks for its own credentials; no notebook is read from there.",
            hint="Name the server that has the notebook.",
        )
    refused = None if allow_private else next(filter(_is_private, addresses), None)
    if refused:
        raise BadInputError(
            f"{host} is at {refused}, which is not a public address.",
            hint="Allow private addresses for this run if the server is meant (--allow-private-addresses).",
        )
    return addresses


def _is_private(address: str) -> bool:
    return any(map(_is_inner, _embedded(ipaddress.ip_address(address.partition("%")[0]))))


def _is_metadata(address: str) -> bool:
    embedded = _embedded(ipaddress.ip_address(address.partition("%")[0]))
    return any((each.version == 4 and each.is_link_local) or each in _METADATA for each in embedded)


def _is_inner(address: _Address) -> bool:
    inside = any(address in network for network in _NOT_PUBLIC if network.version == address.version)
    return inside or not address.is_global or address.is_multicast or address in _METADATA


def _embedded(address: _Address) -> Iterator[_Address]:
    """The address, and those of IPv4 that a gateway or the kernel would make of it."""
    yield address
    if isinstance(address, ipaddress.IPv6Address):
        inner = (address.ipv4_mapped, address.sixtofour, *(address.teredo or ()))
        yield from (one for one in inner if one is not None)
        if any(address in network for network in _CARRY_IPV4):
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
