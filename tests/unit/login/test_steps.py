"""What comes next in a login, by request and by policy."""

from dataclasses import replace

import pytest

from idp.login.connectors import ConnectorGone
from idp.login.steps import (
    Choose,
    SignInWith,
    StepPolicy,
    check_still_offered,
    known_connector,
    needs_approval,
    next_step,
    usable_connectors,
)
from idp.oauth.authorize import AuthorizationRequest, Refused, Target
from idp.oauth.client import Allowed, Client
from idp.oauth.errors import Untrusted

REQUEST = AuthorizationRequest(
    target=Target(client_id="app", redirect_uri="https://app.example.com/cb", state="s"),
    scopes=("openid",),
    peers=(),
    nonce="",
    code_challenge="",
    prompts=frozenset(),
    max_age=None,
    login_hint="",
    hinted_subject="",
    connector_id="",
)
ONE = StepPolicy(connector_ids=("local",), skip_approval=True, always_choose=False)
TWO = replace(ONE, connector_ids=("local", "ldap"))
NONE = replace(ONE, connector_ids=())
APP = Client(id="app", name="The App")
LDAP_ONLY = replace(APP, allowed=Allowed(connectors=frozenset({"ldap"})))


def asking(*prompts: str, connector_id: str = "") -> AuthorizationRequest:
    return replace(REQUEST, prompts=frozenset(prompts), connector_id=connector_id)


@pytest.mark.parametrize(
    ("request_", "policy", "step"),
    [
        (asking(), ONE, SignInWith("local")),
        (asking("login"), ONE, SignInWith("local")),
        (asking("consent"), ONE, SignInWith("local")),
        (asking("select_account"), ONE, Choose()),
        (asking(), replace(ONE, always_choose=True), Choose()),
        (asking(), TWO, Choose()),
        (asking(), NONE, Choose()),
        (asking(connector_id="ldap"), TWO, SignInWith("ldap")),
        (asking("select_account", connector_id="ldap"), TWO, SignInWith("ldap")),
        (asking(connector_id="local"), replace(ONE, always_choose=True), SignInWith("local")),
    ],
)
def test_the_first_step(
    request_: AuthorizationRequest, policy: StepPolicy, step: Choose | SignInWith
) -> None:
    assert next_step(request_, policy, APP) == step


@pytest.mark.covers("R-7")
@pytest.mark.parametrize("policy", [ONE, TWO, NONE, replace(ONE, always_choose=True)])
@pytest.mark.parametrize("connector_id", ["", "local", "ghost"])
def test_prompt_none_is_login_required_whatever_else_is_asked(
    policy: StepPolicy, connector_id: str
) -> None:
    with pytest.raises(Refused) as refused:
        next_step(asking("none", connector_id=connector_id), policy, APP)
    assert refused.value.error.code == "login_required"
    assert refused.value.target == REQUEST.target


@pytest.mark.covers("CV-9")
@pytest.mark.parametrize("connector_id", ["ghost", "LOCAL", "local ", "local/login", "../local"])
def test_a_connector_that_does_not_exist_is_a_page(connector_id: str) -> None:
    with pytest.raises(Untrusted) as untrusted:
        next_step(asking(connector_id=connector_id), TWO, APP)
    assert connector_id not in untrusted.value.problem + untrusted.value.remedy.replace(
        "connectors", ""
    )
    with pytest.raises(Untrusted):
        known_connector(connector_id, TWO)


def test_the_policy_follows_the_connectors_of_the_moment() -> None:
    offered = {"ldap": 1}
    policy = replace(ONE, connector_ids=offered)
    check_still_offered("ldap", policy)
    assert next_step(asking(), policy, APP) == SignInWith("ldap")
    offered["other"] = 2
    assert next_step(asking(), policy, APP) == Choose()
    del offered["ldap"]
    assert next_step(asking(), policy, APP) == SignInWith("other")
    with pytest.raises(ConnectorGone):
        check_still_offered("ldap", policy)
    with pytest.raises(Untrusted):
        next_step(asking(connector_id="ldap"), policy, APP)


@pytest.mark.parametrize(
    ("prompts", "skip_approval", "asked"),
    [((), True, False), ((), False, True), (("consent",), True, True), (("login",), True, False)],
)
def test_who_is_asked_to_approve(
    *, prompts: tuple[str, ...], skip_approval: bool, asked: bool
) -> None:
    policy = replace(ONE, skip_approval=skip_approval)
    assert needs_approval(asking(*prompts), policy, APP) == asked


@pytest.mark.covers("R-105")
def test_for_a_client_that_registered_itself_people_are_always_asked() -> None:
    stranger = replace(APP, registered_itself=True, skip_approval=True)
    assert needs_approval(asking(), replace(ONE, skip_approval=True), stranger)


def test_a_client_for_one_connector_goes_there_at_once() -> None:
    assert next_step(asking(), TWO, LDAP_ONLY) == SignInWith("ldap")
    assert next_step(asking("select_account"), TWO, LDAP_ONLY) == Choose()
    assert usable_connectors(TWO.connector_ids, LDAP_ONLY) == ("ldap",)


@pytest.mark.covers("CV-3")
@pytest.mark.parametrize(("policy", "connector_id"), [(TWO, "local"), (ONE, ""), (ONE, "local")])
def test_a_client_hears_that_it_may_not_use_a_connector(
    policy: StepPolicy, connector_id: str
) -> None:
    with pytest.raises(Refused) as refused:
        next_step(asking(connector_id=connector_id), policy, LDAP_ONLY)
    assert refused.value.error.code == "access_denied"


def test_an_application_of_the_house_needs_no_approval_unless_it_asks_for_it() -> None:
    policy, trusted = replace(ONE, skip_approval=False), replace(APP, skip_approval=True)
    assert not needs_approval(asking(), policy, trusted)
    assert needs_approval(asking("consent"), policy, trusted)
