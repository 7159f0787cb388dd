"""Every policy at every grant (CV-3): a table that a new grant must be added to.

A policy that one grant forgets is the most common hole of all. Each cell of the table breaks one
policy with one grant while everything else is right, and names the answer. A grant type that has no
row, or a row without one of the policies, fails here.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

import idp.grants
from tests.kit.clock import HandClock
from tests.kit.provider import (
    ALICE,
    CALLBACK,
    CONFIDENTIAL,
    OTHER,
    PASSWORD,
    PUBLIC,
    ProviderUnderTest,
    base_config,
    login_page,
    provider_under_test,
)
from tests.kit.storage import Faults, FlakyBackend

PEER_SCOPE = "openid groups offline_access audience:server:client_id:other"
MANY_GROUPS = [f"group-number-{n}" for n in range(1000)]


@dataclass(slots=True)
class Site:
    """A provider that can be started again with another configuration over the same store."""

    directory: Path
    clock: HandClock = field(default_factory=HandClock)
    faults: Faults = field(default_factory=Faults)

    def config(self) -> dict[str, Any]:
        config = base_config()
        config["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
        file = str(self.directory / "idp.db")
        config["storage"] = {"type": "sqlite3", "config": {"file": file}}
        return config

    @contextmanager
    def running(self, config: Mapping[str, Any] | None = None) -> Iterator[ProviderUnderTest]:
        with provider_under_test(
            config or self.config(),
            clock=self.clock,
            wrap_backend=lambda backend: FlakyBackend(backend, self.faults),
        ) as provider:
            yield provider


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


Prepare = Callable[[ProviderUnderTest], dict[str, str]]


def with_code(provider: ProviderUnderTest) -> dict[str, str]:
    code = provider.code({"scope": PEER_SCOPE})
    return {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}


def with_refresh_token(provider: ProviderUnderTest) -> dict[str, str]:
    token = provider.tokens(PEER_SCOPE)["refresh_token"]
    return {"grant_type": "refresh_token", "refresh_token": token}


def on_its_own_behalf(provider: ProviderUnderTest) -> dict[str, str]:
    scope = PEER_SCOPE.replace(" offline_access", "")
    return {"grant_type": "client_credentials", "scope": scope}


GRANTS: dict[str, Prepare] = {
    "authorization_code": with_code,
    "refresh_token": with_refresh_token,
    "client_credentials": on_its_own_behalf,
}


@dataclass(frozen=True, slots=True)
class Policy:
    """One way to break a policy: what changes before the grant is used, and the answer."""

    error: str
    status: int = 400
    config: Callable[[dict[str, Any]], None] | None = None
    auth: tuple[str, str] | None = CONFIDENTIAL
    form: Mapping[str, str] = field(default_factory=dict)


def without_the_client(config: dict[str, Any]) -> None:
    config["staticClients"] = [c for c in config["staticClients"] if c["id"] != "app"]
    for client in config["staticClients"]:
        client.pop("trustedPeers", None)


def with_another_secret(config: dict[str, Any]) -> None:
    config["staticClients"][0]["secret"] = "a new secret, long enough, for the app"


def without_trust(config: dict[str, Any]) -> None:
    config["staticClients"][1]["trustedPeers"] = []


def without_the_peer(config: dict[str, Any]) -> None:
    config["staticClients"] = [c for c in config["staticClients"] if c["id"] != OTHER[0]]


def only_client_credentials(config: dict[str, Any]) -> None:
    config["oauth2"]["grantTypes"] = ["client_credentials"]


def without_client_credentials(config: dict[str, Any]) -> None:
    config["oauth2"]["grantTypes"] = ["authorization_code", "refresh_token"]


def without_people(config: dict[str, Any]) -> None:
    config["staticPasswords"] = []


def without_the_connector(config: dict[str, Any]) -> None:
    config["enablePasswordDB"] = False
    config["staticPasswords"] = []


def with_too_many_groups(config: dict[str, Any]) -> None:
    config["staticPasswords"][0]["groups"] = MANY_GROUPS
    config["staticClients"][0]["clientCredentialsClaims"] = {"groups": MANY_GROUPS}


UNKNOWN_CLIENT = Policy("invalid_client", 401, auth=("nobody", "x"))
WRONG_SECRET = Policy("invalid_client", 401, auth=(CONFIDENTIAL[0], "wrong"))
NO_SECRET = Policy("invalid_client", 401, auth=None, form={"client_id": "app"})
CLIENT_REMOVED = Policy("invalid_client", 401, config=without_the_client)
SECRET_CHANGED = Policy("invalid_client", 401, config=with_another_secret)
NOT_SERVED = Policy("unsupported_grant_type", config=only_client_credentials)
TRUST_WITHDRAWN = Policy("invalid_scope", config=without_trust)
PEER_REMOVED = Policy("invalid_scope", config=without_the_peer)

NOT_APPLICABLE = None

TABLE: dict[str, dict[str, Policy | None]] = {
    "authorization_code": {
        "unknown client": UNKNOWN_CLIENT,
        "wrong secret": WRONG_SECRET,
        "no secret": NO_SECRET,
        "client removed": CLIENT_REMOVED,
        "secret changed": SECRET_CHANGED,
        "grant type switched off": NOT_SERVED,
        "another confidential client": Policy("invalid_grant", auth=OTHER),
        "a public client": Policy("invalid_grant", auth=None, form={"client_id": PUBLIC}),
        "trust of the audience withdrawn": TRUST_WITHDRAWN,
        "audience removed": PEER_REMOVED,
        # A person may go between login and code: a minute, and the first refresh ends it.
        "person removed": NOT_APPLICABLE,
        "connector removed": NOT_APPLICABLE,
        # Judged at the login, a minute before.
        "too many groups": NOT_APPLICABLE,
        # The scope of a code was fixed at the login.
        "more scope": NOT_APPLICABLE,
    },
    "refresh_token": {
        "unknown client": UNKNOWN_CLIENT,
        "wrong secret": WRONG_SECRET,
        "no secret": NO_SECRET,
        "client removed": CLIENT_REMOVED,
        "secret changed": SECRET_CHANGED,
        "grant type switched off": NOT_SERVED,
        "another confidential client": Policy("invalid_grant", auth=OTHER),
        "a public client": Policy("invalid_grant", auth=None, form={"client_id": PUBLIC}),
        "trust of the audience withdrawn": TRUST_WITHDRAWN,
        "audience removed": PEER_REMOVED,
        "person removed": Policy("invalid_grant", config=without_people),
        "connector removed": Policy("invalid_grant", config=without_the_connector),
        "too many groups": Policy("invalid_scope", config=with_too_many_groups),
        "more scope": Policy("invalid_scope", form={"scope": "openid email"}),
    },
    "client_credentials": {
        "unknown client": UNKNOWN_CLIENT,
        "wrong secret": WRONG_SECRET,
        "no secret": NO_SECRET,
        "client removed": CLIENT_REMOVED,
        "secret changed": SECRET_CHANGED,
        "grant type switched off": Policy(
            "unsupported_grant_type", config=without_client_credentials
        ),
        # It asks for itself: nobody else's rights are in play.
        "another confidential client": NOT_APPLICABLE,
        "a public client": Policy("unauthorized_client", auth=None, form={"client_id": PUBLIC}),
        "trust of the audience withdrawn": TRUST_WITHDRAWN,
        "audience removed": PEER_REMOVED,
        "person removed": NOT_APPLICABLE,
        "connector removed": NOT_APPLICABLE,
        "too many groups": Policy("invalid_scope", config=with_too_many_groups),
        "more scope": Policy("invalid_scope", form={"scope": "openid offline_access"}),
    },
}

CELLS = [
    pytest.param(grant, name, id=f"{grant}-{name}")
    for grant, row in TABLE.items()
    for name, policy in row.items()
    if policy is not NOT_APPLICABLE
]


def served_grant_types() -> set[str]:
    """Return the wire names of all grants that the package has, whether switched on or not."""
    found = set()
    for module in pkgutil.iter_modules(idp.grants.__path__):
        for value in vars(importlib.import_module(f"idp.grants.{module.name}")).values():
            fields = getattr(value, "__dataclass_fields__", {})
            if isinstance(value, type) and "grant_type" in fields:
                found.add(fields["grant_type"].default)
    return found


@pytest.mark.covers("CV-3")
def test_every_grant_type_has_a_row_and_every_row_all_policies() -> None:
    assert served_grant_types() == set(TABLE) == set(GRANTS)
    columns = {frozenset(row) for row in TABLE.values()}
    assert len(columns) == 1


@pytest.mark.covers("CV-3")
@pytest.mark.parametrize("grant", GRANTS)
def test_a_grant_that_keeps_all_policies_is_served(site: Site, grant: str) -> None:
    """Else the table would prove nothing."""
    with site.running() as provider:
        form = GRANTS[grant](provider)
    with site.running() as provider:
        assert provider.token(form).status_code == 200


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a cell of the table came to."""

    broken: httpx.Response
    writes: int
    afterwards: httpx.Response


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Outcome]:
    """Run the table: all forms are made first, then used while broken, then with all in order.

    Cells that break the same thing share a start of the provider; each has a login of its own.
    """
    site = Site(tmp_path_factory.mktemp("policies"))
    cells = [(grant, name, policy) for grant, row in TABLE.items() for name, policy in row.items()]
    wanted = [(grant, name, policy) for grant, name, policy in cells if policy is not None]
    with site.running() as provider:
        forms = {(grant, name): GRANTS[grant](provider) for grant, name, _ in wanted}
    broken: dict[tuple[str, str], tuple[httpx.Response, int]] = {}
    for change in dict.fromkeys(policy.config for _, _, policy in wanted):
        config = site.config()
        if change is not None:
            change(config)
        with site.running(config) as provider:
            for grant, name, policy in wanted:
                if policy.config is change:
                    site.faults.calls.clear()
                    form = {**forms[grant, name], **policy.form}
                    answer = provider.token(form, auth=policy.auth)
                    broken[grant, name] = answer, site.faults.writes
    with site.running() as provider:
        afterwards = {cell: provider.token(form) for cell, form in forms.items()}
    return {cell: Outcome(*broken[cell], afterwards[cell]) for cell in forms}


@pytest.mark.covers("CV-3", "CV-8", "CV-33", "R-18", "R-19", "R-34", "R-35", "R-37")
@pytest.mark.parametrize(("grant", "name"), CELLS)
def test_a_grant_that_breaks_a_policy_gives_no_token_and_spends_nothing(
    outcomes: dict[tuple[str, str], Outcome], grant: str, name: str
) -> None:
    policy, outcome = TABLE[grant][name], outcomes[grant, name]
    assert policy is not None
    answer = (outcome.broken.status_code, outcome.broken.json()["error"])
    assert answer == (policy.status, policy.error)
    assert "access_token" not in outcome.broken.text
    assert outcome.writes == 0
    assert outcome.afterwards.status_code == 200


@pytest.mark.covers("CV-33")
def test_an_access_token_of_a_client_that_was_removed_is_worth_nothing(site: Site) -> None:
    with site.running() as provider:
        token = provider.tokens()["access_token"]
    gone = site.config()
    without_the_client(gone)
    with site.running(gone) as provider:
        response = provider.userinfo(token)
        assert (response.status_code, response.json()["error"]) == (401, "invalid_token")


def without_the_redirect_uri(config: dict[str, Any]) -> None:
    config["staticClients"][0]["redirectURIs"] = ["https://app.example.com/elsewhere"]


@pytest.mark.covers("CV-33")
@pytest.mark.parametrize("page", ["login", "approval"])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(without_the_client, id="client"),
        pytest.param(without_the_redirect_uri, id="redirect_uri"),
    ],
)
def test_a_login_under_way_ends_nowhere_once_its_client_or_address_was_removed(
    site: Site, change: Callable[[dict[str, Any]], None], page: str
) -> None:
    """What the browser carries is sealed, but it was checked up to half an hour ago."""
    config = site.config()
    config["oauth2"]["skipApprovalScreen"] = page == "login"
    with site.running(config) as provider:
        shown = provider.authorize() if page == "login" else provider.sign_in()
        form = login_page(shown)
        cookies = dict(provider.browser.client.cookies)
    change(config)
    with site.running(config) as provider:
        provider.browser.client.cookies.update(cookies)
        site.faults.calls.clear()
        fields = {"login": ALICE, "password": PASSWORD, "approval": "approve", "state": form.state}
        response = provider.browser.post(form.action, data=fields)
        assert response.status_code == 400
        assert "location" not in response.headers
        assert site.faults.writes == 0


@pytest.mark.covers("CV-3")
def test_audiences_that_were_never_trusted_are_refused_everywhere(site: Site) -> None:
    with site.running() as provider:
        scope = f"openid audience:server:client_id:{PUBLIC}"
        assert "error=invalid_scope" in provider.authorize({"scope": scope}).headers["location"]
        form = {"grant_type": "client_credentials", "scope": scope}
        assert provider.token(form).json()["error"] == "invalid_scope"
        refresh_token = provider.tokens()["refresh_token"]
        answer = provider.refresh(refresh_token, scope=scope)
        assert answer.json()["error"] == "invalid_scope"
