"""What an issuer may look like."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.settings import Problem
from idp.settings.issuer_rules import check_issuer


@pytest.mark.parametrize(
    "issuer",
    [
        "https://id.example.com",
        "https://id.example.com/dex",
        "https://id.example.com:8443/a/b-c_d.e~f",
        "https://id.example.com:443",
        "https://10.0.0.1",
        "https://[2001:db8::1]:5554/dex",
        "https://dex",
        "http://127.0.0.1:5556/dex",
        "http://localhost",
        "http://[::1]:5556",
    ],
)
def test_an_issuer_is_kept_byte_for_byte(issuer: str) -> None:
    assert check_issuer(issuer) is issuer


@pytest.mark.spec("RFC 8414", "2")
@pytest.mark.parametrize(
    ("issuer", "hint"),
    [
        ("id.example.com", "is not a URL; write it in full"),
        ("", "is not a URL"),
        ("//id.example.com", "is not a URL"),
        ("ftp://id.example.com", "must begin with https://"),
        ("HTTPS://id.example.com", "must begin with https:// in lower case"),
        ("http://id.example.com", "use https"),
        ("http://dex:5556/dex", "is http on a host other than localhost, 127.0.0.1 or [::1]"),
        ("http://127.0.0.2", "is http on a host other than"),
        ("http://127.0.0.1.", "has no valid host name"),
        ("http://localhost.evil.example", "is http on a host other than"),
        ("http://[::ffff:127.0.0.1]", "is http on a host other than"),
        ("https:id.example.com", "has no host; write https://…"),
        ("https:/id.example.com", "has no host"),
        ("https://", "has no host"),
        ("https:///dex", "has no host"),
        ("https://id.example.com/", "ends with a slash; remove it"),
        ("https://id.example.com/dex/", "ends with a slash"),
        ("https://id.example.com?x=1", "contains a query or a fragment"),
        ("https://id.example.com?", "contains a query or a fragment"),
        ("https://id.example.com/#", "contains a query or a fragment"),
        ("https://me@id.example.com", "contains a user name before the host"),
        ("https://me:pw@id.example.com", "contains a user name before the host"),
        ("https://a@b@c", "contains a user name before the host"),
        ("https://Id.Example.com", "has capitals in its host; write `id.example.com`"),
        ("https://bücher.example", "contains characters outside ASCII"),
        ("https://id.example.com/a b", "contains a space or a control character"),
        ("https://id.example.com/a\n", "contains a space or a control character"),
        ("https://id.example.com\\dex", "contains a backslash"),
        ("https://id.example.com//dex", "has an odd path"),
        ("https://id.example.com/../dex", "has an odd path"),
        ("https://id.example.com/.", "has an odd path"),
        ("https://id.example.com/%64ex", "has an odd path"),
        ("https://id.example.com/{x}", "has an odd path"),
        ("https://id.example.com:99999", "has no valid port"),
        ("https://id.example.com:", "has no valid port"),
        ("https://id.example.com:+1", "has no valid port"),
        ("https://2001:db8::1", "has an IPv6 address without brackets"),
        ("https://[2001:db8::1", "has"),
        ("https://[::g]", "has no valid host name"),
        ("https://-a.example", "has no valid host name"),
        ("https://a..example", "has no valid host name"),
        ("https://127.1", "has no valid host name"),
        ("https://0x7f000001", "has no valid host name"),
        ("https://2130706433", "has no valid host name"),
        ("https://" + "a" * 64, "has no valid host name"),
        ("https://id.example.com/" + "a" * 2048, "is longer than 2048 characters"),
    ],
)
def test_another_issuer_is_refused_with_the_reason(issuer: str, hint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(hint)):
        check_issuer(issuer)


@given(st.text() | st.from_regex(r"https?://[a-z.:@\[\]0-9]*[/?#%a-z.]*", fullmatch=True))
def test_any_text_is_an_issuer_or_a_value_error(text: str) -> None:
    try:
        issuer = check_issuer(text)
    except ValueError:
        return
    assert issuer.isascii()
    assert not set(issuer) & set("@?#\\ %")
    assert not issuer.endswith("/")
    assert issuer.startswith(("https://", "http://localhost", "http://127.0.0.1", "http://[::1]"))


def test_a_user_name_with_a_password_is_not_repeated(
    refuse: Callable[..., tuple[Problem, ...]],
) -> None:
    (problem,) = refuse("issuer: https://me:hunter2@id.example.com")
    assert problem.path == "issuer"
    assert "hunter2" not in str(problem)
