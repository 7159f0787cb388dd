"""The provider stops, in good order or not, and comes back: nobody signs in again."""

import base64
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from tests.kit.relying_party import RelyingParty, read_form, submit_login
from tests.kit.scene import AUDIENCE, JANE, provider_config
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubectl import oidc_user
from tests.kit.servers.process import free_port
from tests.kit.stores import Store
from tests.kit.waiting import eventually

pytestmark = pytest.mark.servers

_OPEN_SECONDS = 5
_PATIENCE_SECONDS = 30


@pytest.fixture(scope="module")
def provider(
    ca: CertificateAuthority, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[IdpProcess]:
    """Yield a provider with telemetry: so it drains as it does in a cluster."""
    directory = tmp_path_factory.mktemp("provider")
    telemetry = {"http": f"127.0.0.1:{free_port()}"}
    # However long a stop and a start take: what was issued before has not expired by then.
    expiry = {"idTokens": "5m", "authCodes": "5m"}
    overrides = {"telemetry": telemetry, "expiry": expiry}
    config = provider_config(directory, ca=ca, store=store, overrides=overrides)
    with IdpProcess(config, cwd=directory, ca=ca) as running:
        yield running


@pytest.fixture(params=["SIGTERM", "SIGKILL"])
def stop(request: pytest.FixtureRequest, provider: IdpProcess) -> Callable[[], None]:
    stops = {"SIGTERM": provider.stop, "SIGKILL": provider.kill}
    return stops[request.param]


def test_nobody_signs_in_again_after_a_restart(
    provider: IdpProcess,
    stop: Callable[[], None],
    cluster: KubeApiServer,
    party: RelyingParty,
    ca: CertificateAuthority,
    tmp_path: Path,
) -> None:
    tokens = party.sign_in(JANE.email, JANE.password)
    with_code = party.depart()
    location = submit_login(party.http, with_code.url, login=JANE.email, password=JANE.password)
    with_form = party.depart()
    form = read_form(party.http.get(with_form.url).text)
    user = oidc_user(
        {
            "idp-issuer-url": party.issuer,
            "idp-certificate-authority-data": base64.b64encode(ca.pem.encode()).decode(),
            "client-id": AUDIENCE,
            # No ID token: so kubectl has to refresh.
            "refresh-token": tokens.refresh_token,
        }
    )
    kubeconfig = cluster.write_kubeconfig(tmp_path / "kubeconfig", user=user)
    keys = party.http.get("/keys").json()

    stop()
    provider.start()

    assert party.http.get("/keys").json() == keys
    assert party.userinfo(tokens.access_token).status_code == 200
    cluster.kubectl("auth", "whoami", kubeconfig=kubeconfig).check()
    assert party.refresh(tokens.refresh_token).refresh_token
    assert party.redeem(party.code_of(location, with_code), with_code).id_token
    sent = party.http.post(
        urljoin(with_form.url, form.action),
        data={**form.fields, "login": JANE.email, "password": JANE.password},
    )
    assert party.redeem(party.code_of(sent.headers["location"], with_form), with_form).id_token


def test_requests_fail_only_while_the_provider_is_down(
    provider: IdpProcess, party: RelyingParty
) -> None:
    token = party.sign_in(JANE.email, JANE.password).refresh_token
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": AUDIENCE}
    with provider.client() as refreshing, provider.client() as reading:
        work = [
            _Load(lambda: refreshing.post("/token", data=form)),
            _Load(lambda: reading.get("/keys")),
            _Load(lambda: _once(provider, "/.well-known/openid-configuration")),
            _Load(lambda: _once(provider, "/auth?client_id=nobody", expected=400)),
        ]
        with ThreadPoolExecutor(len(work)) as threads:
            for load in work:
                threads.submit(load.run)
            try:
                _wait_for_more(work)
                stopped_at = time.monotonic()
                provider.stop()
                provider.start()
                up_at = time.monotonic()
                _wait_for_more(work)
            finally:
                for load in work:
                    load.done.set()

    for load in work:
        for asked_at, at, problem in load.problems:
            # For so long the sockets stay open; then they close, and the process ends.
            assert stopped_at + _OPEN_SECONDS < at, f"{at - stopped_at:.2f} s: {problem}"
            assert asked_at < up_at, f"{asked_at - stopped_at:.2f} s: {problem}"
            assert problem.startswith("ConnectError"), problem


@pytest.mark.covers("R-33")
def test_token_whose_answer_was_lost_in_a_crash_still_works(
    provider: IdpProcess, party: RelyingParty
) -> None:
    token = party.sign_in(JANE.email, JANE.password).refresh_token

    for _ in range(3):
        crash = threading.Timer(0.5, provider.kill)
        crash.start()
        token = _refresh_until_it_fails(party, token)
        crash.join()
        provider.start()
        token = party.refresh(token).refresh_token


def _refresh_until_it_fails(party: RelyingParty, token: str) -> str:
    """Return the refresh token that the last answer brought, or the one before it got lost."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            token = party.refresh(token).refresh_token
        except httpx.TransportError:
            return token
    pytest.fail("the provider was killed, and yet it answers")


@dataclass(slots=True)
class _Load:
    """Asks the same again and again; writes down what went wrong, when it was asked and known."""

    ask: Callable[[], httpx.Response]
    done: threading.Event = field(default_factory=threading.Event)
    problems: list[tuple[float, float, str]] = field(default_factory=list)
    good: int = 0

    def run(self) -> None:
        while not self.done.is_set():
            asked_at = time.monotonic()
            try:
                answer = self.ask()
            except httpx.TransportError as error:
                self._note(asked_at, f"{type(error).__name__}: {error}")
            else:
                if answer.status_code >= 400:
                    self._note(asked_at, f"{answer.status_code}")
                self.good += 1
            time.sleep(0.02)

    def _note(self, asked_at: float, problem: str) -> None:
        self.problems.append((asked_at, time.monotonic(), problem))


def _wait_for_more(work: list[_Load]) -> None:
    """Wait until each has been answered ten times more."""
    wanted = [load.good + 10 for load in work]
    eventually(
        lambda: all(load.good >= count for load, count in zip(work, wanted, strict=True)),
        within=_PATIENCE_SECONDS,
    )


def _once(provider: IdpProcess, path: str, *, expected: int = 200) -> httpx.Response:
    """Ask over a connection of its own."""
    with provider.client() as http:
        answer = http.get(path)
    if answer.status_code == expected:
        answer.status_code = 200
    return answer
