"""The browser is sent to a client's own addresses and nowhere else."""

import re
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.oauth.client import Client
from idp.oauth.redirects import LONGEST_URI, redirect_uri_allowed
from tests.vectors.redirects import EXACT, GOOD_ANYWHERE, GOOD_LOOPBACK, LOOPBACK, OUT_OF_BAND
from tests.vectors.redirects.hostile import (
    hostile_to_exact,
    hostile_to_loopback,
    hostile_to_registered_loopback,
)

CONFIDENTIAL = Client(id="app", name="App", secret_hashes=(b"x" * 32,), redirect_uris=(EXACT,))
CONFIDENTIAL_LOOPBACK = Client(
    id="tool", name="Tool", secret_hashes=(b"x" * 32,), redirect_uris=LOOPBACK
)
PUBLIC = Client(id="cli", name="Command line", redirect_uris=LOOPBACK)
PUBLIC_EXACT = Client(id="spa", name="Page", redirect_uris=(EXACT, "com.example.app:/done"))
ANYWHERE = Client(id="any", name="Anywhere")

TO_EXACT = tuple(hostile_to_exact())
TO_LOOPBACK = tuple(hostile_to_registered_loopback())

anything = st.text(max_size=60)
nearly = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(("http", "https", "HTTP", "ftp", "")),
        st.sampled_from(("://", ":/", ":", "//", "")),
        st.sampled_from(("", "a@", "a:b@", "@", "127.0.0.1@", "localhost:1@")),
        st.sampled_from(("localhost", "127.0.0.1", "[::1]", "127.1", "app.example.com", "evil.ex")),
        st.sampled_from(("", ":", ":0", ":80", ":080", ":65535", ":65536", ":x", ".evil.ex", "\\")),
        st.sampled_from(("", "/", "/done", "/done/", "/callback", "//", "/%2e", "?x", "#x", "\n")),
    ),
)


@pytest.mark.covers("R-2", "CV-7")
def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(set(TO_EXACT)) >= 300
    assert len(set(TO_LOOPBACK)) >= 300


@pytest.mark.covers("R-2", "CV-7")
@pytest.mark.parametrize(
    ("client", "cases"),
    [
        (CONFIDENTIAL, TO_EXACT + TO_LOOPBACK),
        (CONFIDENTIAL_LOOPBACK, TO_EXACT + TO_LOOPBACK),
        (PUBLIC, TO_EXACT + TO_LOOPBACK),
        (PUBLIC_EXACT, TO_EXACT + TO_LOOPBACK),
        (ANYWHERE, tuple(hostile_to_loopback())),
        (ANYWHERE, tuple(case for case in TO_EXACT if case[1] != OUT_OF_BAND)),
    ],
    ids=["confidential", "confidential on loopback", "public", "public on https", "any", "any 2"],
)
def test_no_hostile_address_is_allowed(client: Client, cases: tuple[tuple[str, str], ...]) -> None:
    assert [case for case in cases if redirect_uri_allowed(case[1], client)] == []


@pytest.mark.covers("R-2", "CV-7")
@pytest.mark.spec("RFC 8252", "7.3")
@pytest.mark.parametrize("uri", GOOD_LOOPBACK)
def test_a_public_client_may_use_any_port_of_its_loopback_address(uri: str) -> None:
    assert redirect_uri_allowed(uri, PUBLIC)


@pytest.mark.covers("R-2")
@pytest.mark.parametrize("uri", GOOD_ANYWHERE)
def test_a_public_client_without_addresses_may_use_any_loopback_address(uri: str) -> None:
    assert redirect_uri_allowed(uri, ANYWHERE)


@pytest.mark.covers("R-2", "CV-7")
@pytest.mark.parametrize("uri", [uri for uri in GOOD_LOOPBACK if uri not in LOOPBACK])
def test_a_confidential_client_gets_no_other_port(uri: str) -> None:
    assert not redirect_uri_allowed(uri, CONFIDENTIAL_LOOPBACK)


@pytest.mark.covers("R-2")
@pytest.mark.parametrize(
    ("uri", "client"),
    [
        *((uri, CONFIDENTIAL_LOOPBACK) for uri in LOOPBACK),
        (EXACT, CONFIDENTIAL),
        (EXACT, PUBLIC_EXACT),
        ("com.example.app:/done", PUBLIC_EXACT),
    ],
)
def test_the_registered_address_itself_is_allowed(uri: str, client: Client) -> None:
    assert redirect_uri_allowed(uri, client)


@pytest.mark.covers("R-2", "CV-7")
def test_the_exception_for_ports_is_for_http_on_loopback_only() -> None:
    client = Client(
        id="cli",
        name="Command line",
        redirect_uris=(
            "https://localhost:8000/",
            "http://app.example.com:8000/",
            "app://localhost:1",
        ),
    )
    for uri in ("https://localhost:8001/", "http://app.example.com:8001/", "app://localhost:2"):
        assert not redirect_uri_allowed(uri, client)


@pytest.mark.covers("R-2")
def test_a_registered_query_is_part_of_the_loopback_address() -> None:
    client = Client(id="cli", name="Command line", redirect_uris=("http://127.0.0.1/cb?from=cli",))
    assert redirect_uri_allowed("http://127.0.0.1:5000/cb?from=cli", client)
    for uri in ("http://127.0.0.1:5000/cb", "http://127.0.0.1:5000/cb?from=cli&x=1"):
        assert not redirect_uri_allowed(uri, client)


@pytest.mark.covers("R-2")
def test_the_out_of_band_page_is_for_public_clients_without_addresses() -> None:
    assert redirect_uri_allowed(OUT_OF_BAND, ANYWHERE)
    for client in (CONFIDENTIAL, CONFIDENTIAL_LOOPBACK, PUBLIC, PUBLIC_EXACT):
        assert not redirect_uri_allowed(OUT_OF_BAND, client)


@pytest.mark.covers("R-82")
def test_an_address_that_is_too_long_is_refused_though_it_is_registered() -> None:
    uri = "http://localhost/".ljust(LONGEST_URI + 1, "a")
    client = Client(id="a", name="A", redirect_uris=(uri,))
    assert not redirect_uri_allowed(uri, client)
    assert not redirect_uri_allowed(uri, ANYWHERE)


@pytest.mark.covers("R-2", "CV-7")
@given(st.one_of(anything, nearly))
def test_a_confidential_client_gets_what_is_equal_and_nothing_else(uri: str) -> None:
    assert redirect_uri_allowed(uri, CONFIDENTIAL) == (uri == EXACT)


@pytest.mark.covers("R-2", "CV-7")
@given(st.one_of(anything, nearly))
def test_whatever_a_public_client_gets_is_read_as_loopback_by_every_parser(uri: str) -> None:
    if not redirect_uri_allowed(uri, ANYWHERE) or uri == OUT_OF_BAND:
        return
    parts = urlsplit(uri)
    assert parts.scheme == "http"
    assert parts.hostname in ("localhost", "127.0.0.1", "::1")
    assert parts.username is None
    assert "\\" not in uri
    assert re.fullmatch(r"[\x21-\x7e]+", uri)
    assert parts.port is None or 0 < parts.port < 65536


@pytest.mark.covers("R-2")
@given(st.integers(1, 65535), st.sampled_from(("127.0.0.1", "[::1]")))
def test_every_port_in_its_usual_spelling_is_allowed(port: int, host: str) -> None:
    assert redirect_uri_allowed(f"http://{host}:{port}/done", PUBLIC)
    assert not redirect_uri_allowed(f"http://{host}:0{port}/done", PUBLIC)
    assert not redirect_uri_allowed(f"http://{host}:{port + 65535}/done", PUBLIC)


@pytest.mark.covers("R-2", "CV-7")
@given(st.one_of(anything, nearly))
def test_registering_more_addresses_never_takes_one_away(uri: str) -> None:
    more = Client(id="cli", name="Command line", redirect_uris=(*LOOPBACK, EXACT))
    if redirect_uri_allowed(uri, PUBLIC):
        assert redirect_uri_allowed(uri, more)
