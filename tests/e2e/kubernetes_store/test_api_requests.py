"""What each operation costs the API server, by its own audit log."""

import asyncio
from collections.abc import Callable, Iterator
from urllib.parse import urljoin

import httpx
import pytest

from bench.client import run_load
from bench.operations import Load
from bench.provider import CALLBACK, CLIENT
from tests.kit.relying_party import RelyingParty, read_form, submit_login
from tests.kit.scene import JANE, provider_config
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.kubernetes_store import KubernetesStore
from tests.kit.sizes import sized

pytestmark = pytest.mark.servers

_VISITS = sized(ci=1_000, full=100_000)
_CONNECTIONS = 10
_REPEATED = 20
"""Often enough to see that what comes now and then does not come of these."""


@pytest.fixture(scope="module")
def plain_store(new_store: Callable[[], KubernetesStore]) -> KubernetesStore:
    return new_store()


@pytest.fixture(scope="module")
def plain_provider(
    plain_store: KubernetesStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[IdpProcess]:
    """Yield a provider without TLS, which the load of the benchmark can speak to."""
    directory = tmp_path_factory.mktemp("plain")
    name, secret = CLIENT
    client = {"id": name, "name": "Bench", "secret": secret, "redirectURIs": [CALLBACK]}
    config = provider_config(directory, ca=None, store=plain_store, clients=[client])
    with IdpProcess(config, cwd=directory) as running:
        yield running


def test_login_is_two_writes_and_three_requests_at_most(
    party: RelyingParty, store: KubernetesStore
) -> None:
    with store.api_requests.recorded() as recorded:
        party.sign_in(JANE.email, JANE.password)

    assert len(recorded.writes) <= 2, str(recorded)
    assert len(recorded.of_operations) <= 3, str(recorded)


def test_refresh_is_one_write_and_two_requests_at_most(
    party: RelyingParty, store: KubernetesStore
) -> None:
    tokens = party.sign_in(JANE.email, JANE.password)

    with store.api_requests.recorded() as recorded:
        for _ in range(5):
            tokens = party.refresh(tokens.refresh_token)

    assert len(recorded.writes) == 5, str(recorded)
    assert len(recorded.of_operations) <= 10, str(recorded)


@pytest.mark.covers("R-31")
def test_refresh_inside_the_grace_window_writes_nothing(
    party: RelyingParty, store: KubernetesStore
) -> None:
    token = party.sign_in(JANE.email, JANE.password).refresh_token
    party.refresh(token)

    with store.api_requests.recorded() as recorded:
        party.refresh(token)

    assert recorded.writes == [], str(recorded)
    assert len(recorded.of_operations) <= 1, str(recorded)


@pytest.mark.covers("R-20")
def test_replay_of_a_code_ends_the_grant_with_one_write(
    party: RelyingParty, store: KubernetesStore
) -> None:
    attempt = party.depart()
    location = submit_login(party.http, attempt.url, login=JANE.email, password=JANE.password)
    code = party.code_of(location, attempt)
    party.redeem(code, attempt)

    with store.api_requests.recorded() as recorded, pytest.raises(httpx.HTTPStatusError):
        party.redeem(code, attempt)

    assert len(recorded.writes) == 1, str(recorded)
    assert len(recorded.of_operations) <= 2, str(recorded)


@pytest.mark.covers("R-100")
@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
def test_revocation_is_one_write_and_two_requests_at_most(
    party: RelyingParty, store: KubernetesStore, kind: str
) -> None:
    tokens = [party.sign_in(JANE.email, JANE.password) for _ in range(5)]

    with store.api_requests.recorded() as recorded:
        for each in tokens:
            assert party.revoke(getattr(each, kind)).status_code == 200

    assert len(recorded.writes) == 5, str(recorded)
    assert len(recorded.of_operations) <= 10, str(recorded)


@pytest.mark.covers("R-100")
def test_what_was_revoked_is_not_written_again(party: RelyingParty, store: KubernetesStore) -> None:
    tokens = party.sign_in(JANE.email, JANE.password)
    party.revoke(tokens.refresh_token).raise_for_status()

    with store.api_requests.recorded() as recorded:
        assert party.revoke(tokens.access_token).status_code == 200
        assert party.revoke(tokens.refresh_token).status_code == 200

    assert recorded.writes == [], str(recorded)
    assert len(recorded.of_operations) <= 1, str(recorded)


@pytest.mark.covers("R-101")
def test_introspection_of_a_refresh_token_is_one_request_at_most(
    application: RelyingParty, store: KubernetesStore
) -> None:
    token = application.sign_in(JANE.email, JANE.password).refresh_token

    with store.api_requests.recorded() as recorded:
        for _ in range(5):
            assert application.introspect(token).json()["active"] is True

    assert recorded.writes == [], str(recorded)
    assert len(recorded.of_operations) <= 5, str(recorded)


def _wrong_password(party: RelyingParty) -> httpx.Response:
    url = party.depart().url
    form = read_form(party.http.get(url).text)
    sent = {**form.fields, "login": JANE.email, "password": "wrong"}
    return party.http.post(urljoin(url, form.action), data=sent)


_Act = Callable[[RelyingParty, str], httpx.Response]

_FREE: list[tuple[str, _Act, int]] = [
    ("login page", lambda party, _: party.http.get(party.depart().url), 200),
    ("unknown client", lambda party, _: party.http.get(party.depart(client_id="x").url), 400),
    ("userinfo", lambda party, token: party.userinfo(token), 200),
    ("introspection of an access token", lambda party, token: party.introspect(token), 200),
    ("garbage at introspection", lambda party, _: party.introspect("kir_x.1.y.z"), 200),
    ("garbage at revocation", lambda party, _: party.revoke("kir_x.1.y.z"), 200),
    ("garbage at userinfo", lambda party, _: party.userinfo("garbage"), 401),
    ("discovery", lambda party, _: party.http.get("/.well-known/openid-configuration"), 200),
    ("keys", lambda party, _: party.http.get("/keys"), 200),
    (
        "client credentials",
        lambda party, _: party.token(grant_type="client_credentials", scope="openid"),
        200,
    ),
    (
        "garbage for a refresh token",
        lambda party, _: party.token(grant_type="refresh_token", refresh_token="kir_x.1.y.z"),
        400,
    ),
    (
        "garbage for a code",
        lambda party, _: party.token(
            grant_type="authorization_code", code="kic_x", redirect_uri=party.redirect_uri
        ),
        400,
    ),
]


@pytest.mark.parametrize(("act", "status"), [each[1:] for each in _FREE], ids=[e[0] for e in _FREE])
def test_what_needs_no_state_asks_nothing(
    application: RelyingParty, store: KubernetesStore, act: _Act, status: int
) -> None:
    token = application.sign_in(JANE.email, JANE.password).access_token

    with store.api_requests.recorded() as recorded:
        for _ in range(_REPEATED):
            assert act(application, token).status_code == status

    assert recorded.of_operations == [], str(recorded)
    assert len(recorded.requests) < _REPEATED


def test_wrong_password_asks_nothing(party: RelyingParty, store: KubernetesStore) -> None:
    with store.api_requests.recorded() as recorded:
        for _ in range(3):
            assert _wrong_password(party).status_code == 401

    assert recorded.of_operations == [], str(recorded)


@pytest.mark.timeout(3600)
def test_strangers_write_nothing_however_many_there_are(
    plain_provider: IdpProcess, plain_store: KubernetesStore
) -> None:
    load = Load(plain_provider.issuer)
    wrong_passwords = _VISITS // 20
    rest = (_VISITS - wrong_passwords) // len(load.of_strangers)
    operations = [
        (load.wrong_password, wrong_passwords),
        *((operation, rest) for operation in load.of_strangers),
    ]

    with plain_store.api_requests.recorded() as recorded:
        for operation, count in operations:
            each = max(1, count // _CONNECTIONS)
            asyncio.run(run_load(load.url, operation, connections=_CONNECTIONS, each=each))

    assert recorded.of_operations == [], str(recorded)
