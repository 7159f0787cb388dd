"""The client's address is believed only as far as trusted proxies wrote it."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.login.client_address import client_address, source_of

PROXIES = [ip_network("10.0.0.0/8"), ip_network("192.168.0.0/16"), ip_network("2001:db8:ffff::/48")]


@pytest.mark.covers("R-73", "R-85")
@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.1", ["198.51.100.7"], "203.0.113.1"),
        ("10.1.2.3", [], "10.1.2.3"),
        ("10.1.2.3", [""], "10.1.2.3"),
        ("10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        ("192.168.5.5", ["203.0.113.9"], "203.0.113.9"),
        ("2001:db8:ffff::1", ["203.0.113.9"], "203.0.113.9"),
        ("10.1.2.3", ["203.0.113.9, 10.1.2.3"], "203.0.113.9"),
        ("10.1.2.3", ["203.0.113.9,192.168.1.1 ,\t10.9.9.9"], "203.0.113.9"),
        ("10.1.2.3", ["1.2.3.4, 198.51.100.7, 10.1.2.3"], "198.51.100.7"),
        ("10.1.2.3", ["1.2.3.4", "198.51.100.7", "10.1.2.3"], "198.51.100.7"),
        ("10.1.2.3", ["203.0.113.9, garbage, 10.1.2.3"], "10.1.2.3"),
        ("10.1.2.3", ["203.0.113.9, , 10.1.2.3"], "10.1.2.3"),
        ("10.1.2.3", ["10.9.9.9, 10.1.2.3"], "10.1.2.3"),
        ("10.1.2.3", ["2001:DB8::0:1"], "2001:db8::1"),
        ("10.1.2.3", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        ("10.1.2.3", ["::ffff:10.4.4.4"], "10.1.2.3"),
        ("10.1.2.3", ["fe80::1%\x1b[31m"], "10.1.2.3"),
        ("10.1.2.3", ["203.0.113.9:4711"], "10.1.2.3"),
        ("10.1.2.3", ["[2001:db8::1]"], "10.1.2.3"),
        ("10.1.2.3", ["0177.0.0.1"], "10.1.2.3"),
        ("10.1.2.3", ["2130706433"], "10.1.2.3"),
        ("fe80::1%eth0", ["203.0.113.9"], "fe80::1"),
        ("", ["203.0.113.9"], ""),
        ("/run/idp.sock", ["203.0.113.9"], "/run/idp.sock"),
    ],
)
def test_the_first_hop_that_is_no_proxy_is_the_client(
    peer: str, forwarded: list[str], expected: str
) -> None:
    assert client_address(peer=peer, forwarded=forwarded, trusted=PROXIES) == expected


@pytest.mark.covers("R-85")
@given(st.lists(st.text(max_size=40), max_size=4))
def test_without_trusted_proxies_no_header_changes_anything(forwarded: list[str]) -> None:
    assert client_address(peer="203.0.113.1", forwarded=forwarded, trusted=[]) == "203.0.113.1"


@pytest.mark.covers("R-73", "R-85")
@given(st.text(max_size=200))
def test_what_a_client_writes_to_the_left_of_a_proxy_is_never_believed(written: str) -> None:
    forwarded = [f"{written}, 198.51.100.7"]
    assert client_address(peer="10.0.0.1", forwarded=forwarded, trusted=PROXIES) == "198.51.100.7"


@pytest.mark.covers("R-73")
@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_a_source_is_an_ipv4_address_or_an_ipv6_customer(address: str, source: str) -> None:
    assert source_of(address) == source
