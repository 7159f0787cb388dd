"""Which network addresses the provider may connect to because somebody's URL says so.

A URL that a client registered can name anything: this machine, the cluster's own services, the
metadata service of a cloud, which gives credentials to whoever asks (SSRF, OWASP A10). So what is
connected to is judged by its address, in the moment of connecting, whatever name led there.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

_NAT64: Final = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL: Final = IPv6Network("64:ff9b:1::/48")
_OF_CLOUDS: Final = (IPv4Network("168.63.129.16/32"), IPv4Network("192.0.0.0/24"))
"""Where Azure and Oracle Cloud answer every virtual machine, though one is a public address."""


def is_public(text: str) -> bool:
    """Return whether an address, as sockets take them, is one of the public internet.

    An address that carries another one is judged by both (RFC 4291 section 2.5.5, RFC 3056, 4380,
    6052). What is no address is not public.
    """
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        return _is_public_v6(address)
    return _is_public_v4(address)


def _is_public_v4(address: IPv4Address) -> bool:
    if address.is_multicast or any(address in network for network in _OF_CLOUDS):
        return False
    return address.is_global


def _is_public_v6(address: IPv6Address) -> bool:
    carried = _carried(address)
    if carried is not None:
        return _is_public_v4(carried)
    if address.is_multicast or address in _NAT64_LOCAL or not address.is_global:
        return False
    # The first 96 bits are zero: an old form of an IPv4 address, or unspecified.
    return int(address) >> 32 != 0


def _carried(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address inside, through which the connection would go."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None
