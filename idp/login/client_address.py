"""Where a request comes from when proxies stand in front of us. Pure; used by throttle and logs.

A header that names the client is believed only as far as proxies that the operator named wrote it
(`web.clientRemoteIP`, as in Dex). Nothing else in the program may depend on such a header.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network

_IPV6_CUSTOMER_BITS = 64


def client_address(*, peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """Return the client's address, normalised.

    `peer` is the address of the connection, `forwarded` the values of the configured header in the
    order of their lines. The header counts only when the peer is trusted. Its hops are walked from
    right to left, and the first one that is no trusted proxy is the client: everything to the left
    of it was written by the client. A malformed hop, an empty header and a chain of nothing but
    proxies leave the peer. A peer without an address (a Unix socket) is returned as it is and
    trusts nothing.
    """
    address = _address_of(peer.partition("%")[0])
    if address is None:
        return peer
    if _is_in(address, trusted):
        for hop in reversed(",".join(forwarded).split(",")):
            hop_address = _address_of(hop.strip(" \t"))
            if hop_address is None:
                break
            if not _is_in(hop_address, trusted):
                return str(hop_address)
    return str(address)


@lru_cache(maxsize=4096)
def source_of(address: str) -> str:
    """Return what counts as one source: an IPv4 address, or the /64 that one IPv6 customer owns.

    Text that is no address is a source of its own.
    """
    parsed = _address_of(address)
    if parsed is None or isinstance(parsed, IPv4Address):
        return str(parsed or address)
    return str(IPv6Network((parsed, _IPV6_CUSTOMER_BITS), strict=False))


@lru_cache(maxsize=4096)
def _address_of(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address; `::ffff:192.0.2.1`, as a listener for both families sees it, is IPv4.

    A zone (`fe80::1%eth0`) is refused: it may hold any text, and this goes to the log.
    """
    if "%" in text:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _is_in(address: IPv4Address | IPv6Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)
