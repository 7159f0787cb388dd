"""kubectl's own `oidc` provider refreshes with our refresh tokens, and nobody ever loses one.

ID tokens live ten seconds here. kubectl takes a token as expired ten seconds before its end, so
every single call refreshes.
"""

import base64
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.kit.relying_party import RelyingParty, Tokens
from tests.kit.scene import AUDIENCE, JANE, OMAR, Account, provider_config
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubectl import kept_tokens, oidc_user
from tests.kit.sizes import sized
from tests.kit.stores import Store

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

_CALLS_EACH = sized(ci=100, full=500)
_WHOAMI = ("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")


@pytest.fixture(scope="module")
def provider(
    ca: CertificateAuthority, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[IdpProcess]:
    directory = tmp_path_factory.mktemp("provider")
    overrides = {"expiry": {"idTokens": "10s"}}
    config = provider_config(directory, ca=ca, store=store, overrides=overrides)
    with IdpProcess(config, cwd=directory, ca=ca) as running:
        yield running


@pytest.fixture
def device(
    cluster: KubeApiServer, party: RelyingParty, ca: CertificateAuthority, tmp_path: Path
) -> "Devices":
    return Devices(cluster, party, ca, tmp_path)


class Devices:
    """Makes kubeconfigs, each of a person who signed in on a machine of their own."""

    def __init__(
        self, cluster: KubeApiServer, party: RelyingParty, ca: CertificateAuthority, directory: Path
    ) -> None:
        self._cluster = cluster
        self._party = party
        self._ca = ca
        self._directory = directory

    def sign_in(self, name: str, account: Account = JANE) -> Path:
        """Sign in and return the kubeconfig with the tokens."""
        return self.write(name, self._party.sign_in(account.email, account.password))

    def write(self, name: str, tokens: Tokens) -> Path:
        """Return a kubeconfig with these tokens."""
        user = oidc_user(
            {
                "idp-issuer-url": self._party.issuer,
                "idp-certificate-authority-data": base64.b64encode(self._ca.pem.encode()).decode(),
                "client-id": AUDIENCE,
                "id-token": tokens.id_token,
                "refresh-token": tokens.refresh_token,
            }
        )
        return self._cluster.write_kubeconfig(self._directory / name, user=user)


def test_expired_token_is_refreshed_and_the_new_ones_are_kept(
    cluster: KubeApiServer, party: RelyingParty, device: Devices
) -> None:
    tokens = party.sign_in(JANE.email, JANE.password)
    exp = party.claims(tokens.id_token)["exp"]
    assert isinstance(exp, int)
    kubeconfig = device.write("kubeconfig", tokens)
    time.sleep(max(0.0, exp - time.time()) + 1)
    assert cluster.whoami(tokens.id_token) is None

    answer = cluster.kubectl(*_WHOAMI, kubeconfig=kubeconfig)

    assert answer.check() == "oidc:jane@example.com"
    kept = kept_tokens(kubeconfig)
    assert kept["id-token"] != tokens.id_token
    assert kept["refresh-token"] != tokens.refresh_token
    claims, first = party.claims(kept["id-token"]), party.claims(tokens.id_token)
    assert claims["sub"] == first["sub"]
    assert claims["auth_time"] == first["auth_time"]
    assert cluster.kubectl(*_WHOAMI, kubeconfig=kubeconfig).check() == "oidc:jane@example.com"


@pytest.mark.covers("R-31", "R-33")
def test_two_kubectl_processes_share_one_refresh_token_time_and_again(
    cluster: KubeApiServer,
    party: RelyingParty,
    device: Devices,
    provider: IdpProcess,
    store: Store,
) -> None:
    tokens = party.sign_in(JANE.email, JANE.password)
    grants, refreshes = store.grants_stored(), _refreshes(provider)
    shells = [device.write(name, tokens) for name in ("first-shell", "second-shell")]

    answers = _work_at_once(cluster, shells, calls_each=_CALLS_EACH)

    assert len(answers) == 2 * _CALLS_EACH
    assert set(answers) == {"oidc:jane@example.com"}
    assert _refreshes(provider) - refreshes == 2 * _CALLS_EACH
    assert store.grants_stored() == grants


def test_two_kubectl_processes_with_one_file_fail_over_the_file_alone(
    cluster: KubeApiServer, device: Devices, provider: IdpProcess
) -> None:
    """kubectl rewrites the file in place behind a lock that it does not wait for."""
    shared = device.sign_in("shared")

    answers = _work_at_once(cluster, [shared, shared], calls_each=40)

    good = answers.count("oidc:jane@example.com")
    about_the_file = [
        answer
        for answer in answers
        if "shared.lock: file exists" in answer  # the other one writes
        or "localhost:8080 was refused" in answer  # read while it was empty
        or "error loading config file" in answer  # read while it was half written
    ]
    assert good + len(about_the_file) == len(answers), set(answers)
    assert good > len(answers) / 2
    assert cluster.kubectl(*_WHOAMI, kubeconfig=shared).check() == "oidc:jane@example.com"
    assert "refresh_token_reused" not in {line["event"] for line in provider.log_lines()}


@pytest.mark.covers("R-36")
def test_second_device_leaves_the_first_alive(
    cluster: KubeApiServer, device: Devices, store: Store
) -> None:
    before = store.grants_stored()
    laptop = device.sign_in("laptop")
    desktop = device.sign_in("desktop")
    colleague = device.sign_in("colleague", OMAR)

    assert store.grants_stored() == before + 3
    for _ in range(3):
        for machine in (laptop, desktop):
            answer = cluster.kubectl(*_WHOAMI, kubeconfig=machine)
            assert answer.check() == "oidc:jane@example.com"
        answer = cluster.kubectl(*_WHOAMI, kubeconfig=colleague)
        assert answer.check() == "oidc:omar@example.com"


def test_copy_of_a_kubeconfig_that_stayed_behind_still_works_for_a_minute(
    cluster: KubeApiServer, party: RelyingParty, device: Devices
) -> None:
    tokens = party.sign_in(JANE.email, JANE.password)
    used = device.write("used", tokens)
    for _ in range(3):
        cluster.kubectl(*_WHOAMI, kubeconfig=used).check()

    copy = device.write("copy", tokens)

    assert cluster.kubectl(*_WHOAMI, kubeconfig=copy).check() == "oidc:jane@example.com"
    assert cluster.kubectl(*_WHOAMI, kubeconfig=used).check() == "oidc:jane@example.com"


def test_garbage_for_a_refresh_token_says_what_to_do(
    cluster: KubeApiServer, party: RelyingParty, device: Devices
) -> None:
    tokens = party.sign_in(JANE.email, JANE.password)
    broken = Tokens(tokens.id_token, tokens.access_token, "garbage", tokens.expires_in)

    answer = cluster.kubectl(*_WHOAMI, kubeconfig=device.write("broken", broken))

    assert answer.status == 1
    assert "Sign in again" in answer.stderr


def test_client_that_probes_with_an_empty_secret_first_is_served(
    party: RelyingParty, provider: IdpProcess
) -> None:
    """kubectl sends Basic with an empty password for a public client."""
    tokens = party.sign_in(JANE.email, JANE.password)
    form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}

    answer = party.http.post("/token", data=form, auth=httpx.BasicAuth(AUDIENCE, ""))

    assert answer.status_code == 200
    assert {"id_token", "refresh_token"} <= set(answer.json())


def _work_at_once(
    cluster: KubeApiServer, kubeconfigs: Sequence[Path], *, calls_each: int
) -> list[str]:
    """Call kubectl in a terminal for each kubeconfig; return what all calls said."""

    def work(kubeconfig: Path) -> list[str]:
        calls = [cluster.kubectl(*_WHOAMI, kubeconfig=kubeconfig) for _ in range(calls_each)]
        return [call.stderr if call.status else call.stdout for call in calls]

    with ThreadPoolExecutor(len(kubeconfigs)) as terminals:
        return [answer for answers in terminals.map(work, kubeconfigs) for answer in answers]


def _refreshes(provider: IdpProcess) -> int:
    return sum(line.get("by") == "refresh" for line in provider.log_lines())
