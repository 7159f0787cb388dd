"""Scopes are read strictly, unknown ones are left out, and audiences need trust."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.oauth.client import Client
from idp.oauth.errors import InvalidScope
from idp.oauth.scopes import (
    ADVERTISED,
    AUDIENCE_PREFIX,
    FEDERATED_ID,
    narrow_scope,
    peers_of,
    read_scope,
    split_scope,
)

APP = Client(id="app", name="App", secret_hashes=(b"x",))
TRUSTS_APP = Client(id="api", name="API", secret_hashes=(b"x",), trusted_peers=frozenset({"app"}))
TRUSTS_NOBODY = Client(id="vault", name="Vault", secret_hashes=(b"x",))
CLIENTS = {client.id: client for client in (APP, TRUSTS_APP, TRUSTS_NOBODY)}

# scope-token of RFC 6749 section 3.3, written out anew.
LEGAL = [chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"\\']
tokens = st.lists(st.text(st.sampled_from(LEGAL), min_size=1, max_size=20), max_size=20)


def read(text: str | None) -> tuple[str, ...]:
    return read_scope(text, client=APP, clients=CLIENTS).scopes


@pytest.mark.covers("R-6")
@given(tokens)
def test_scopes_come_back_as_they_were_joined(scopes: list[str]) -> None:
    assert split_scope(" ".join(scopes)) == tuple(dict.fromkeys(scopes))


@pytest.mark.covers("R-6")
@given(st.text(max_size=100))
def test_any_text_is_scopes_or_invalid_scope(text: str) -> None:
    try:
        scopes = split_scope(text)
    except InvalidScope:
        assert not set(text) <= {*LEGAL, " "} or "" in text.split(" ")
        return
    assert set("".join(scopes)) <= set(LEGAL)
    assert split_scope(" ".join(scopes)) == scopes


@pytest.mark.covers("R-6")
@pytest.mark.parametrize(
    "text",
    ["openid\temail", "openid\nemail", "openid\r", "open\0id", 'open"id', "open\\id", "ópenid",
     "openid\u00a0email", "openid\u2003email", "openid\x7f", "\ud800", "openid\u200b", "\x1f",
     " ", "   ", " openid", "openid ", "openid  email"],
)  # fmt: skip
def test_characters_that_no_scope_may_have_are_refused(text: str) -> None:
    with pytest.raises(InvalidScope):
        read(text)


@pytest.mark.covers("R-6", "R-82")
def test_a_scope_of_more_than_a_kilobyte_is_refused() -> None:
    assert split_scope("a" * 1024) == ("a" * 1024,)
    for text in ("a" * 1025, "openid " * 5000, " " * 50_000):
        with pytest.raises(InvalidScope):
            split_scope(text)


@pytest.mark.covers("R-6")
@pytest.mark.parametrize("text", [None, ""])
def test_no_scope_is_no_scope(text: str | None) -> None:
    assert read(text) == ()


@pytest.mark.covers("R-6")
@pytest.mark.parametrize(
    ("text", "scopes"),
    [
        ("openid email", ("openid", "email")),
        ("email openid email", ("email", "openid")),
        ("openid address phone x y:z", ("openid", "address", "phone")),
        ("OPENID Email", ()),
        ("openid federated:id", ("openid", FEDERATED_ID)),
        (" ".join(ADVERTISED), ADVERTISED),
    ],
)
def test_known_scopes_are_kept_in_order_and_unknown_ones_left_out(
    text: str, scopes: tuple[str, ...]
) -> None:
    assert read(text) == scopes


def test_an_audience_is_granted_by_the_client_that_trusts() -> None:
    requested = read_scope(f"openid {AUDIENCE_PREFIX}api", client=APP, clients=CLIENTS)
    assert requested.peers == ("api",)
    assert peers_of(requested.scopes) == ("api",)


def test_every_client_trusts_itself() -> None:
    assert read_scope(f"{AUDIENCE_PREFIX}app", client=APP, clients=CLIENTS).peers == ("app",)


@pytest.mark.covers("CV-3", "R-65")
def test_no_trust_and_no_such_client_are_one_answer() -> None:
    refusals = []
    for peer in ("vault", "ghost"):
        with pytest.raises(InvalidScope) as refusal:
            read(f"openid {AUDIENCE_PREFIX}{peer}")
        refusals.append(refusal.value.description.replace(peer, "PEER"))
    assert refusals[0] == refusals[1]


@pytest.mark.covers("CV-3")
@pytest.mark.parametrize("peer", ["", "API", "api/", "*", "app,api", "api:x", "%61pi", "ap"])
def test_an_audience_is_compared_exactly(peer: str) -> None:
    with pytest.raises(InvalidScope):
        read(f"openid {AUDIENCE_PREFIX}{peer}")


@pytest.mark.covers("CV-3")
def test_trust_has_a_direction() -> None:
    with pytest.raises(InvalidScope):
        read_scope(f"{AUDIENCE_PREFIX}app", client=TRUSTS_APP, clients=CLIENTS)


def test_a_long_peer_does_not_make_a_long_refusal() -> None:
    with pytest.raises(InvalidScope) as refusal:
        read(AUDIENCE_PREFIX + "x" * 900)
    assert len(refusal.value.description) < 300


@pytest.mark.covers("R-34")
@given(tokens, tokens)
def test_a_refresh_gets_at_most_what_was_granted(granted: list[str], asked: list[str]) -> None:
    try:
        narrowed = narrow_scope(" ".join(asked), tuple(granted))
    except InvalidScope:
        assert not set(asked) <= set(granted)
        return
    assert set(narrowed) <= set(granted)
    assert set(narrowed) == (set(asked) or set(granted))


@pytest.mark.covers("R-34")
def test_a_refresh_that_asks_for_nothing_keeps_everything() -> None:
    assert narrow_scope(None, ("openid", "email")) == ("openid", "email")
    assert narrow_scope("email", ("openid", "email")) == ("email",)
    with pytest.raises(InvalidScope):
        narrow_scope("openid groups", ("openid", "email"))
