"""What is said of a client counts on every replica within a second; an assertion counts once."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import httpx
import pytest

from idp.clock import system_clock
from idp.oauth.client_assertion import JWT_BEARER
from tests.kit.relying_party import RelyingParty, Tokens
from tests.kit.scene import JANE, provider_config
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.kubernetes_store import KubernetesStore
from tests.kit.servers.replicas import Replicas
from tests.kit.signing_client import SigningClient
from tests.kit.together import together
from tests.kit.waiting import eventually

pytestmark = pytest.mark.servers

_LIVE_SECONDS = 1.0
_REDIRECT_URI = "https://shop.example.com/callback"


@pytest.fixture(scope="module")
def replicas(
    ca: CertificateAuthority, store: KubernetesStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Replicas]:
    """Yield three replicas with a client that signs."""
    directory = tmp_path_factory.mktemp("replicas")
    signer = {
        "id": "signer",
        "tokenEndpointAuthMethod": "private_key_jwt",
        "jwks": SigningClient("signer", "", alg="ES256").jwks,
    }
    config = provider_config(directory, ca=ca, store=store, clients=[signer])
    with Replicas(config, directory=directory, ca=ca) as running:
        yield running


@pytest.fixture(scope="module")
def https(replicas: Replicas) -> Iterator[list[httpx.Client]]:
    """Yield a way to each replica."""
    with ExitStack() as stack:
        yield [stack.enter_context(replica.client()) for replica in replicas.each]


@pytest.fixture(scope="module")
def parties(https: list[httpx.Client], replicas: Replicas) -> list[RelyingParty]:
    """Return one client that is written as an object, straight to each replica."""
    return [
        RelyingParty(
            http=http, issuer=replicas.issuer, client_id="shop", redirect_uri=_REDIRECT_URI
        )
        for http in https
    ]


@pytest.mark.covers("CV-33", "I-3")
@pytest.mark.parametrize("taken", [{"disabled": True}, {"allowedConnectors": ["elsewhere"]}])
def test_what_is_taken_from_a_client_is_gone_everywhere_within_a_second_and_comes_back(
    parties: list[RelyingParty], store: KubernetesStore, taken: Mapping[str, Any]
) -> None:
    store.apply(_client())
    _everywhere(parties, _has_login_page)
    tokens = parties[0].sign_in(JANE.email, JANE.password)
    _everywhere(parties, partial(_is_welcome, tokens))

    store.apply(_client(**taken))

    _everywhere(parties, lambda party: not _is_welcome(tokens, party))
    for party in parties:
        assert not _has_login_page(party)
        refused = party.token(grant_type="refresh_token", refresh_token=tokens.refresh_token)
        assert refused.status_code in (400, 401)

    store.apply(_client())

    _everywhere(parties, partial(_is_welcome, tokens))
    assert parties[1].refresh(tokens.refresh_token).id_token


def test_status_says_that_a_client_is_switched_off(store: KubernetesStore) -> None:
    store.apply(_client(disabled=True))
    path = "{.status.conditions[?(@.type=='Ready')].reason}"

    def reason() -> str:
        answer = store.kubectl("get", "oidcclient", "shop", "-o", f"jsonpath={path}")
        return answer.stdout

    eventually(lambda: reason() == "Disabled", within=10)


@pytest.mark.covers("R-24", "CV-11", "K-10")
def test_of_one_assertion_at_every_replica_at_once_one_use_is_good(
    https: list[httpx.Client], replicas: Replicas, store: KubernetesStore
) -> None:
    for _ in range(5):
        form = _proof(replicas.issuer)

        with store.api_requests.recorded() as recorded:
            answers = together([partial(_ask, http, replicas.issuer, form) for http in https])

        assert sorted(answers) == [200, 401, 401]
        assert len(recorded.done) == 1, str(recorded)
        assert len(recorded.of_operations) == 3, str(recorded)
        for http in https:
            assert _ask(http, replicas.issuer, form) == 401


def test_client_that_signs_costs_one_write_each_time(
    https: list[httpx.Client], replicas: Replicas, store: KubernetesStore
) -> None:
    forms = [_proof(replicas.issuer) for _ in range(5)]

    with store.api_requests.recorded() as recorded:
        for form in forms:
            assert _ask(https[0], replicas.issuer, form) == 200

    assert len(recorded.of_operations) == len(recorded.writes) == 5, str(recorded)


def test_assertions_that_were_used_read_like_a_list(
    https: list[httpx.Client], replicas: Replicas, store: KubernetesStore
) -> None:
    assert _ask(https[0], replicas.issuer, _proof(replicas.issuer)) == 200

    head, *rows = store.kubectl("get", "usedassertions").check().splitlines()

    assert head.split() == ["NAME", "CLIENT", "EXPIRES", "AGE"]
    assert {row.split()[1] for row in rows} == {"signer"}


def _ask(http: httpx.Client, issuer: str, form: Mapping[str, str]) -> int:
    return http.post(f"{issuer}/token", data=dict(form)).status_code


def _proof(issuer: str) -> dict[str, str]:
    now = int(system_clock().timestamp())
    claims = {"iss": "signer", "sub": "signer", "aud": issuer, "exp": now + 60}
    signer = SigningClient("signer", issuer, alg="ES256", typ=None)
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": JWT_BEARER,
        "client_assertion": signer.jwt({**claims, "jti": secrets.token_hex(8)}),
    }


def _client(**said: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kube-idp.dev/v1beta1",
        "kind": "OIDCClient",
        "metadata": {"name": "shop"},
        "spec": {"clientID": "shop", "public": True, "redirectURIs": [_REDIRECT_URI], **said},
    }


def _everywhere(parties: list[RelyingParty], is_so: Callable[[RelyingParty], bool]) -> None:
    for party in parties:
        eventually(partial(is_so, party), within=_LIVE_SECONDS)


def _is_welcome(tokens: Tokens, party: RelyingParty) -> bool:
    return party.userinfo(tokens.access_token).status_code == 200


def _has_login_page(party: RelyingParty) -> bool:
    return party.http.get(party.depart().url).status_code == 200
