"""Every policy at every grant and at every door that takes a token (CV-3).

A policy that one grant forgets is the most common hole of all. Each cell of `policy_table.py`
breaks one policy for one use while everything else is right, and names the answer. A grant type, an
endpoint or a policy that has no place in the table fails here.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import httpx
import pytest

import idp.grants
from idp.grants.base import LoginRules
from idp.oauth.client import Allowed, Client, TokenRules
from idp.oauth.standing import NO_STANDINGS, Standings, UserStanding
from idp.oauth.subject import subject
from idp.tokens.access import LiveAccessTokens
from idp.web.routes import Endpoints
from storage.base import Backend
from tests.kit.clock import HandClock
from tests.kit.provider import (
    ALICE,
    PASSWORD,
    PUBLIC,
    ProviderUnderTest,
    base_config,
    login_page,
    provider_under_test,
)
from tests.kit.storage import Faults, FlakyBackend
from tests.spec.policy_table import (
    ANSWERS,
    BREACHES,
    DOORS,
    NO_POLICIES,
    POLICIES,
    USES,
    Breach,
    Scene,
    Ticket,
    by_password,
    by_session,
    without_the_client,
)

RIGHT = Breach()
LOCKED: Standings = {subject("user-1", "local"): UserStanding(locked=True)}


@dataclass(slots=True)
class Site:
    """A provider that can be started again with another configuration over the same store."""

    directory: Path
    clock: HandClock = field(default_factory=HandClock)
    faults: Faults = field(default_factory=Faults)
    stores: list[Backend] = field(default_factory=list)

    def config(self) -> dict[str, Any]:
        config = base_config()
        config["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
        file = str(self.directory / "idp.db")
        config["storage"] = {"type": "sqlite3", "config": {"file": file}}
        config["sessions"] = {"ssoSharedWithDefault": "all"}
        return config

    @contextmanager
    def running(
        self, config: Mapping[str, Any] | None = None, *, standings: Standings = NO_STANDINGS
    ) -> Iterator[ProviderUnderTest]:
        with provider_under_test(
            config or self.config(),
            clock=self.clock,
            wrap_backend=self._wrapped,
            wrap_standings=lambda _: standings,
        ) as provider:
            yield provider

    def _wrapped(self, backend: Backend) -> Backend:
        self.stores.append(backend)
        return FlakyBackend(backend, self.faults)

    @contextmanager
    def broken(self, breach: Breach) -> Iterator[ProviderUnderTest]:
        config = self.config()
        if breach.config is not None:
            breach.config(config)
        standings = LOCKED if breach.locked else NO_STANDINGS
        with self.running(config, standings=standings) as provider:
            yield provider


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def answer_in(response: httpx.Response) -> str:
    """Return what the client heard: "ok", "inactive", or status and error."""
    body = response.json()
    if response.status_code == 200:
        return "inactive" if body.get("active") is False else "ok"
    return f"{response.status_code} {body['error']}"


def served_grant_types() -> set[str]:
    """Return the wire names of all grants that the package has, whether switched on or not."""
    found = set()
    for module in pkgutil.iter_modules(idp.grants.__path__):
        for value in vars(importlib.import_module(f"idp.grants.{module.name}")).values():
            members = getattr(value, "__dataclass_fields__", {})
            if isinstance(value, type) and "grant_type" in members:
                found.add(members["grant_type"].default)
    return found


@pytest.mark.covers("CV-3")
def test_every_grant_type_and_every_endpoint_has_its_place() -> None:
    assert served_grant_types() <= set(USES)
    assert {each.name for each in fields(Endpoints)} == set(DOORS)


@pytest.mark.covers("CV-3")
@pytest.mark.parametrize("kept_by", [Allowed, Client, TokenRules, LoginRules, LiveAccessTokens])
def test_every_policy_has_its_row(kept_by: Any) -> None:
    names = {f"{kept_by.__name__}.{each.name}" for each in fields(kept_by)}
    placed = {name for name in (*POLICIES, *NO_POLICIES) if name.startswith(f"{kept_by.__name__}.")}
    assert names == placed
    assert not set(POLICIES) & set(NO_POLICIES)
    assert set(POLICIES.values()) <= set(ANSWERS)


@pytest.mark.covers("CV-3")
def test_every_row_says_something_of_every_use() -> None:
    assert set(ANSWERS) == set(BREACHES)
    assert {frozenset(row) for row in ANSWERS.values()} == {frozenset(USES)}
    for row in ANSWERS.values():
        assert any(answer is not None for answer in row.values())


CELLS = [(use, policy) for policy, row in ANSWERS.items() for use, answer in row.items() if answer]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a cell of the table came to. `afterwards` is the answer once nothing is broken."""

    broken: httpx.Response
    writes: int
    afterwards: str


def drawn(provider: ProviderUnderTest, use: str, policy: str) -> Ticket:
    login = by_session if BREACHES[policy].by_session else by_password
    return USES[use].draw(provider, login(provider))


def place_of(cell: tuple[str, str]) -> tuple[object, ...]:
    """Return what a provider is started for.

    What came of a session that ended is marked some seconds later: no other cell counts that.
    """
    use, policy = cell
    breach = BREACHES[policy]
    return (*breach.place, use) if breach.by_session else breach.place


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Outcome]:
    """Run the table: all tickets are drawn first, then used while broken, then with all in order.

    Cells that break the same thing share a start of the provider; each has a login of its own.
    """
    site = Site(tmp_path_factory.mktemp("policies"))
    with site.running() as provider:
        tickets = {cell: drawn(provider, *cell) for cell in CELLS}
    broken: dict[tuple[str, str], tuple[httpx.Response, int]] = {}
    for place in dict.fromkeys(map(place_of, CELLS)):
        cells = [cell for cell in CELLS if place_of(cell) == place]
        with site.broken(BREACHES[cells[0][1]]) as provider:
            for cell in cells:
                broken[cell] = _used(site, provider, cell, tickets[cell])
    with site.running() as provider:
        afterwards = {
            cell: answer_in(USES[cell[0]].use(provider, tickets[cell], RIGHT)) for cell in CELLS
        }
    return {cell: Outcome(*broken[cell], afterwards[cell]) for cell in CELLS}


def _used(
    site: Site, provider: ProviderUnderTest, cell: tuple[str, str], ticket: Ticket
) -> tuple[httpx.Response, int]:
    use, policy = cell
    breach = BREACHES[policy]
    if breach.act is not None:
        breach.act(Scene(provider, site.stores[-1]), ticket)
    site.faults.calls.clear()
    return USES[use].use(provider, ticket, breach), site.faults.writes


@pytest.mark.covers("CV-3")
@pytest.mark.parametrize("use", USES)
def test_a_use_that_keeps_all_policies_is_served(site: Site, use: str) -> None:
    """Else the table would prove nothing."""
    with site.running() as provider:
        ticket = USES[use].draw(provider, by_password(provider))
    with site.running() as provider:
        assert answer_in(USES[use].use(provider, ticket, RIGHT)) == "ok"


@pytest.mark.covers("CV-3", "CV-4", "CV-8", "CV-33", "R-18", "R-19", "R-34", "R-35", "R-37")
@pytest.mark.parametrize(("use", "policy"), CELLS)
def test_a_use_that_breaks_a_policy_gives_nothing_and_spends_nothing(
    outcomes: dict[tuple[str, str], Outcome], use: str, policy: str
) -> None:
    outcome = outcomes[use, policy]
    assert answer_in(outcome.broken) == ANSWERS[policy][use]
    assert "access_token" not in outcome.broken.text
    assert outcome.writes == 0
    assert outcome.afterwards == "ok" or BREACHES[policy].final


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
