"""Which request targets mean something, and what."""

import pytest

from idp.transport.refusals import Refused
from idp.transport.targets import decode_path, is_host, split_target


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/token", b"/token", b""),
        (b"/auth?a=b?c", b"/auth", b"a=b?c"),
        (b"//token", b"//token", b""),
        (b"//evil/token", b"//evil/token", b""),
        (b"/;a/..;/x", b"/;a/..;/x", b""),
        (b"http://idp.example/token?x=1", b"/token", b"x=1"),
        (b"HTTPS://IDP.example/token", b"/token", b""),
        (b"http://idp.example", b"/", b""),
        (b"http://idp.example?x=1", b"/", b"x=1"),
    ],
)
@pytest.mark.covers("R-85", "R-87")
def test_target_has_one_path_and_one_query(target: bytes, path: bytes, query: bytes) -> None:
    assert split_target(target, b"idp.example") == (path, query)


@pytest.mark.parametrize(
    "target",
    [
        b"*",
        b"idp.example:443",
        b"http://evil.example/token",
        b"http://idp.example@evil.example/token",
        b"http://idp.example:80@evil/token",
        b"http:///token",
        b"ftp://idp.example/token",
        b"javascript:alert(1)",
        b"/a#b",
        b"/a b",
        b"/\xc3\xa9",
        b"/\x00",
        b"",
    ],
)
@pytest.mark.covers("R-85", "R-87")
def test_any_other_form_is_refused(target: bytes) -> None:
    with pytest.raises(Refused) as refused:
        split_target(target, b"idp.example")
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (b"/%2ftoken", 404),
        (b"/%2Ftoken", 404),
        (b"/a%5Ctoken", 404),
        (b"/token%00", 400),
        (b"/token%0d%0ax", 400),
        (b"/%", 400),
        (b"/%g0", 400),
        (b"/%ff", 400),
        (b"/%c0%afx", 400),
        (b"/%ed%a0%80", 400),
    ],
)
@pytest.mark.covers("R-87", "R-63")
def test_escapes_that_could_hide_another_path_are_refused(path: bytes, status: int) -> None:
    with pytest.raises(Refused) as refused:
        decode_path(path)
    assert refused.value.status == status


def test_other_escapes_are_decoded_once() -> None:
    assert decode_path(b"/auth/caf%C3%A9%20%252f") == "/auth/café %2f"


@pytest.mark.parametrize("value", [b"a", b"a.b:80", b"127.0.0.1:5556", b"[::1]", b"[::1]:80"])
def test_names_and_addresses_are_hosts(value: bytes) -> None:
    assert is_host(value)


@pytest.mark.parametrize(
    "value", [b"", b"a b", b"a/b", b"u@a", b"a,a", b"a?", b"a:b", b"[a", b"a:80:80", b"\xc3\xa9"]
)
@pytest.mark.covers("R-85")
def test_anything_else_is_no_host(value: bytes) -> None:
    assert not is_host(value)
