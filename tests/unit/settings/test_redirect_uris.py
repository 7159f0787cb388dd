"""Which redirect URIs may be registered."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.settings import Problem, Settings
from idp.settings.redirect_rules import check_redirect_uri, doubt_about

Read = Callable[..., Settings]
Refuse = Callable[..., tuple[Problem, ...]]


@pytest.mark.parametrize(
    "uri",
    [
        "https://app.example.com/callback",
        "https://app.example.com",
        "https://app.example.com:8443/cb?tenant=a&x=%20",
        "https://[2001:db8::1]/cb",
        "https://App.Example.com/cb",
        "http://127.0.0.1:5555/callback",
        "http://localhost:8000",
        "http://[::1]/",
        "com.example.app:/oauth2redirect",
        "com.example.app://callback",
        "urn:ietf:wg:oauth:2.0:oob",
    ],
)
def test_good_uris_are_kept_as_they_are(uri: str) -> None:
    assert check_redirect_uri(uri) is uri
    assert doubt_about(uri) is None


@pytest.mark.covers("R-2")
@pytest.mark.spec("RFC 6749", "3.1.2")
@pytest.mark.parametrize(
    ("uri", "hint"),
    [
        ("app.example.com/cb", "is not a URL; write it in full"),
        ("/cb", "is not a URL"),
        ("//app.example.com/cb", "is not a URL"),
        ("/device/callback", "belongs to Dex's device flow"),
        ("", "is not a URL"),
        ("https://*.example.com/cb", "contains a wildcard"),
        ("https://app.example.com/*", "contains a wildcard"),
        ("*", "contains a wildcard"),
        ("https://app.example.com/cb#", "contains a fragment"),
        ("https://app.example.com/cb#a", "contains a fragment"),
        ("com.example.app:/cb#a", "contains a fragment"),
        ("https://me@app.example.com/cb", "contains a user name"),
        ("https://app.example.com:pw@evil.example/cb", "contains a user name"),
        ("https://a@b@c/", "contains a user name"),
        ("com.example.app://me@host/cb", "contains a user name"),
        ("https://app.example.com\\@evil.example", "contains a backslash"),
        ("https:\\\\evil.example", "contains a backslash"),
        ("https://app.example.com/a b", "contains a space or a control character"),
        ("https://app.example.com/\tb", "contains a space or a control character"),
        ("https://app.example.com/\r\nSet-Cookie:", "contains a space or a control character"),
        ("https://app.example.com/\x7f", "contains a space or a control character"),
        ("https://bücher.example/cb", "contains characters outside ASCII"),
        ("https://ａpp.example/cb", "contains characters outside ASCII"),
        ("https:app.example.com/cb", "has no host"),
        ("https:///cb", "has no host"),
        ("https://app.example.com:0x50/cb", "has no valid port"),
        ("https://app.example.com:70000/cb", "has no valid port"),
        ("http://127.1/cb", "has no valid host name"),
        ("http://0x7f.0.0.1:80/cb", "has no valid host name"),
        ("http://::1/cb", "has an IPv6 address without brackets"),
        ("HTTPS://app.example.com/cb", "has capitals in its scheme"),
        ("javascript:alert(1)", "has the scheme javascript"),
        ("JavaScript:alert(1)", "has the scheme javascript"),
        ("data:text/html,hi", "has the scheme data"),
        ("vbscript:x", "has the scheme vbscript"),
        ("file:///etc/passwd", "has the scheme file"),
        ("blob:https://app.example.com/x", "has the scheme blob"),
        ("https://app.example.com/" + "a" * 2048, "is longer than 2048 characters"),
    ],
)
def test_other_uris_are_refused_with_the_reason(uri: str, hint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(hint)):
        check_redirect_uri(uri)


@pytest.mark.parametrize(
    ("uri", "hint"),
    [
        ("http://app.example.com/cb", "is http on another host"),
        ("http://127.0.0.2/cb", "is http on another host"),
        ("http://localhost.evil/cb", "is http on another host"),
        ("http://LOCALHOST/cb", "is http on another host"),
        ("myapp:/cb", "has a scheme without a dot"),
        ("myapp://cb", "has a scheme without a dot"),
        ("urn:ietf:wg:oauth:2.0:oob:auto", "has a scheme without a dot"),
    ],
)
def test_doubtful_uris_are_taken_with_a_warning(read: Read, uri: str, hint: str) -> None:
    settings = read(f"staticClients:\n- id: a\n  public: true\n  redirectURIs:\n  - '{uri}'")
    assert settings.static_clients[0].redirect_uris == (uri,)
    (warning,) = settings.warnings
    assert (warning.path, warning.line) == ("staticClients[0].redirectURIs[0]", 5)
    assert warning.message.startswith(f"`{uri}` {hint}")


def test_every_bad_uri_of_a_list_is_told_in_its_own_line(refuse: Refuse) -> None:
    problems = refuse(
        "staticClients:\n- id: a\n  public: true\n  redirectURIs:\n  - https://ok.example/cb\n"
        "  - https://*.example/cb\n  - javascript:alert(1)\n  - 7\n  - {}\n"
    )
    assert [(problem.path, problem.line) for problem in problems] == [
        (f"staticClients[0].redirectURIs[{i}]", 5 + i) for i in (1, 2, 3, 4)
    ]


def test_the_out_of_band_uri_is_for_public_clients(read: Read, refuse: Refuse) -> None:
    client = "{{id: a, {}, redirectURIs: ['urn:ietf:wg:oauth:2.0:oob']}}"
    assert not read(f"staticClients: [{client.format('public: true')}]").warnings
    (problem,) = refuse(f"staticClients: [{client.format('secret: 0123456789abcdef')}]")
    assert problem.path == "staticClients[0].redirectURIs[0]"
    assert "is for clients with `public: true` only" in problem.message


@given(st.text() | st.from_regex(r"[a-z.]{1,12}:/{0,3}[a-z.:@\[\]0-9]*[/?#%*\\a-z.]*"))
def test_any_text_is_a_redirect_uri_or_a_value_error(text: str) -> None:
    try:
        uri = check_redirect_uri(text)
    except ValueError:
        return
    doubt_about(uri)
    assert uri == text
    assert uri.isascii()
    assert uri.isprintable()
    assert not set(uri) & set("#* \\")
