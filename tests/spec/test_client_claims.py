"""What one client is told of people: where claims go, which groups, and by which names."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.kit.client_answers import read_answer
from tests.kit.provider import (
    OTHER,
    ProviderUnderTest,
    answer_of,
    base_config,
    claims_of,
    provider_under_test,
)

PROTOCOL = {"iss", "sub", "aud", "exp", "iat", "jti", "auth_time", "nonce", "at_hash", "c_hash"} | {
    "acr",
    "amr",
}
SCOPE = "openid email profile groups offline_access"
AUDIENCE = f"openid groups audience:server:client_id:{OTHER[0]}"


@contextmanager
def provider_of(other: dict[str, Any] | None = None, **said: Any) -> Iterator[ProviderUnderTest]:
    """Open a provider of whose confidential client this is said, and `other` of its peer."""
    config = base_config()
    config["signer"] = {"config": {"algorithm": "ES256"}}
    config["oauth2"]["responseTypes"] = ["code", "id_token", "code id_token"]
    config["staticClients"][0].update(said)
    config["staticClients"][1].update(other or {})
    config["staticPasswords"][0]["groups"] = ["team-a", "team-b", "admins", "system:masters"]
    with provider_under_test(config) as provider:
        yield provider


def of_person(token: str) -> set[str]:
    return set(claims_of(token)) - PROTOCOL


@pytest.mark.spec("OIDC Core", "5.4")
def test_a_minimal_id_token_leaves_the_person_to_userinfo() -> None:
    with provider_of(idTokenClaims="minimal") as idp:
        tokens = idp.tokens(SCOPE)
        for answer in (tokens, idp.refresh(tokens["refresh_token"]).json()):
            assert of_person(answer["id_token"]) == set()
            userinfo = idp.userinfo(answer["access_token"]).json()
            assert set(userinfo) == {"sub", "email", "email_verified", "name",
                                     "preferred_username", "groups"}  # fmt: skip


@pytest.mark.spec("OIDC Core", "5.5")
def test_a_minimal_id_token_has_what_was_asked_for_by_name() -> None:
    with provider_of(idTokenClaims="minimal") as idp:
        claims = '{"id_token": {"groups": null, "phone_number": null}}'
        tokens = idp.redeem(idp.code({"scope": SCOPE, "claims": claims})).json()
        assert of_person(tokens["id_token"]) == {"groups"}


@pytest.mark.spec("OIDC Core", "5.4")
def test_where_no_access_token_leads_to_userinfo_the_id_token_has_everything() -> None:
    with provider_of(idTokenClaims="minimal") as idp:
        implicit = idp.sign_in({"response_type": "id_token", "scope": "openid email"})
        alone = read_answer(implicit).members["id_token"]
        assert of_person(alone) == {"email", "email_verified"}
        hybrid = idp.sign_in({"response_type": "code id_token", "scope": "openid email"})
        assert of_person(read_answer(hybrid).members["id_token"]) == set()


@pytest.mark.spec("OIDC Core", "5.5")
def test_userinfo_cannot_be_asked_for_where_no_access_token_leads_there() -> None:
    asking = {"response_type": "id_token", "claims": '{"userinfo": {"email": null}}'}
    with provider_of() as idp:
        refused = read_answer(idp.authorize({**asking, "scope": "openid"})).members
        assert refused["error"] == "invalid_request"
        hybrid = {**asking, "response_type": "code id_token", "scope": "openid"}
        assert "code" in read_answer(idp.sign_in(hybrid)).members


def test_a_client_is_told_of_the_groups_that_its_filter_lets_through() -> None:
    with provider_of(groupsFilter=["team-*", "nobody"], groupsPrefix="idp:") as idp:
        tokens = idp.tokens(SCOPE)
        for answer in (tokens, idp.refresh(tokens["refresh_token"]).json()):
            told = ["idp:team-a", "idp:team-b"]
            assert claims_of(answer["id_token"])["groups"] == told
            assert idp.userinfo(answer["access_token"]).json()["groups"] == told


@pytest.mark.covers("R-40")
def test_a_filter_that_lets_nothing_through_leaves_an_empty_list() -> None:
    with provider_of(groupsFilter=["nobody"]) as idp:
        assert claims_of(idp.tokens(SCOPE)["id_token"])["groups"] == []


@pytest.mark.covers("K-17")
def test_a_filter_makes_room_for_people_with_too_many_groups() -> None:
    config = base_config()
    config["staticPasswords"][0]["groups"] = [f"group-number-{n}" for n in range(2000)]
    config["staticClients"][0]["groupsFilter"] = ["group-number-19*"]
    with provider_under_test(config) as idp:
        assert len(claims_of(idp.tokens("openid groups")["id_token"])["groups"]) == 111


@pytest.mark.covers("CV-3")
def test_a_token_for_a_peer_tells_what_both_may_know() -> None:
    with provider_of({"groupsFilter": ["admins", "team-a"]}, groupsFilter=["team-*"]) as idp:
        assert claims_of(idp.tokens(AUDIENCE)["id_token"])["groups"] == ["team-a"]
        alone = idp.tokens("openid groups")["id_token"]
        assert claims_of(alone)["groups"] == ["team-a", "team-b"]


@pytest.mark.covers("CV-3")
@pytest.mark.parametrize(("mine", "theirs"), [("", "idp:"), ("idp:", "")])
def test_clients_that_name_groups_differently_share_no_token(mine: str, theirs: str) -> None:
    with provider_of({"groupsPrefix": theirs}, groupsPrefix=mine) as idp:
        refused = answer_of(idp.authorize({"scope": AUDIENCE}))
        assert refused["error"] == "invalid_scope"
        assert "groupsPrefix" in refused["error_description"]
        assert idp.authorize({"scope": "openid groups"}).status_code == 200


@pytest.mark.covers("CV-3")
def test_what_a_client_may_not_have_by_scope_it_does_not_get_by_name() -> None:
    claims = '{"id_token": {"groups": null, "email": null}, "userinfo": {"groups": null}}'
    with provider_of(allowedScopes=["openid", "email", "offline_access"]) as idp:
        tokens = idp.redeem(idp.code({"scope": "openid", "claims": claims})).json()
        assert of_person(tokens["id_token"]) == {"email"}
        assert set(idp.userinfo(tokens["access_token"]).json()) == {"sub"}
