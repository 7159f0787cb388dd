"""Which groups a client is told of: filters of exact names and beginnings, and the prefix."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.oauth.client import ClaimRules, Client
from idp.oauth.errors import InvalidScope
from idp.oauth.groups import Audience, admitted, audience_of, check_group_pattern, told
from idp.oauth.scopes import check_granted, read_scope

GROUPS = ("team-a", "team-b", "Team-a", "team", "admins", "system:masters")
PEER = "audience:server:client_id:kube"


def rules(*patterns: str, prefix: str = "") -> ClaimRules:
    return ClaimRules(groups_filter=patterns, groups_prefix=prefix)


def client(name: str, claims: ClaimRules, *peers: str) -> Client:
    return Client(id=name, name=name, claims=claims, trusted_peers=frozenset(peers))


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ((), GROUPS),
        (("*",), GROUPS),
        (("team-a",), ("team-a",)),
        (("team-*",), ("team-a", "team-b")),
        (("team*", "admins"), ("team-a", "team-b", "team", "admins")),
        (("admin", "teams"), ()),
        (("team-.",), ()),
        (("system:*",), ("system:masters",)),
    ],
)
def test_a_filter_lets_through_names_and_beginnings(
    patterns: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert admitted(GROUPS, rules(*patterns)) == expected


@given(st.lists(st.text(max_size=5)), st.lists(st.text(max_size=3), min_size=1))
def test_what_a_filter_lets_through_is_some_pattern(groups: list[str], patterns: list[str]) -> None:
    left = admitted(groups, rules(*patterns))
    for group in groups:
        fits = any(
            group.startswith(pattern[:-1]) if pattern.endswith("*") else group == pattern
            for pattern in patterns
        )
        assert (group in left) == fits


def test_the_prefix_is_put_before_what_is_left() -> None:
    """The filter sees the names as the directory has them."""
    alone = Audience(client("app", rules("team-*", prefix="idp:")))
    assert told(GROUPS, alone) == ("idp:team-a", "idp:team-b")
    assert told(GROUPS, Audience(client("app", rules("idp:*", prefix="idp:")))) == ()


@pytest.mark.covers("CV-3")
def test_a_token_for_several_tells_what_all_of_them_may_know() -> None:
    app = client("app", rules("team-*", "admins"))
    kube = client("kube", rules("team-a", "system:*"), "app")
    clients = {"app": app, "kube": kube}
    both = audience_of(app, ("openid", PEER), clients)
    assert told(GROUPS, both) == ("team-a",)
    alone = audience_of(app, ("openid",), clients)
    assert told(GROUPS, alone) == ("team-a", "team-b", "admins")
    gone = audience_of(app, ("openid", PEER), {"app": app})
    assert told(GROUPS, gone) == ("team-a", "team-b", "admins")


@pytest.mark.covers("CV-3")
def test_clients_that_name_groups_differently_share_no_token() -> None:
    """Else `idp:admins` of one could be the group `admins` of the other."""
    app = client("app", rules())
    kube = client("kube", rules(prefix="idp:"), "app")
    clients = {"app": app, "kube": kube}
    with pytest.raises(InvalidScope, match="groupsPrefix"):
        read_scope(f"openid {PEER}", client=app, clients=clients)
    with pytest.raises(InvalidScope, match="groupsPrefix"):
        check_granted(("openid", PEER), client=app, clients=clients)
    same = {"app": client("app", rules(prefix="idp:")), "kube": kube}
    assert read_scope(f"openid {PEER}", client=same["app"], clients=same).peers == ("kube",)


def test_a_star_is_for_the_end_of_a_pattern() -> None:
    for pattern in ("*", "team-*", "admins"):
        assert check_group_pattern(pattern) == pattern
    for pattern in ("*-admins", "team-*-x", "**"):
        with pytest.raises(ValueError, match="before its end"):
            check_group_pattern(pattern)
