"""A stolen signing key: one annotation, and soon nobody takes what it signed."""

import base64
import json
import time
from collections.abc import Iterator
from functools import partial

import httpx
import pytest

from tests.kit.relying_party import RelyingParty
from tests.kit.scene import JANE, kubernetes_party, provider_config
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubernetes_store import KubernetesStore
from tests.kit.servers.replicas import Replicas
from tests.kit.waiting import eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

_ANNOTATION_SECONDS = 15
_REFUSAL_SECONDS = 65


@pytest.fixture(scope="module")
def provider(
    ca: CertificateAuthority, store: KubernetesStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Replicas]:
    """Yield two replicas whose key set may be kept for two seconds."""
    directory = tmp_path_factory.mktemp("replicas")
    overrides = {"expiry": {"keyCacheFor": "2s"}}
    config = provider_config(directory, ca=ca, store=store, overrides=overrides)
    with Replicas(config, directory=directory, ca=ca, count=2) as running:
        yield running


@pytest.fixture(scope="module")
def party(provider: Replicas) -> Iterator[RelyingParty]:
    with provider.client(connections_kept=0) as http:
        yield kubernetes_party(http, provider.issuer)


@pytest.mark.covers("R-93")
def test_api_server_refuses_the_stolen_key_soon_after_the_first_new_login(
    cluster: KubeApiServer, provider: Replicas, party: RelyingParty, store: KubernetesStore
) -> None:
    stolen = party.sign_in(JANE.email, JANE.password)
    # The API server remembers for ten seconds what it has just accepted: so it never saw this one.
    unseen = party.sign_in(JANE.email, JANE.password)
    assert cluster.whoami(stolen.id_token) is not None

    new: list[str] = []

    def a_new_key_signs() -> bool:
        new.append(party.sign_in(JANE.email, JANE.password).id_token)
        return _kid(new[-1]) != _kid(stolen.id_token)

    _annotate(store, "kube-idp.dev/rotate=emergency stolen-laptop")
    took = eventually(a_new_key_signs, within=_ANNOTATION_SECONDS)
    print(f"a new key signs {took:.1f} s after the annotation")

    # The other replica hears of it by its own watch.
    for replica in provider.each:
        with replica.client() as http:
            eventually(partial(_is_withdrawn, http, _kid(stolen.id_token)), within=1)
    began = time.monotonic()
    # Not one of another login: where the other replica is a moment behind, the old key signs it.
    eventually(lambda: cluster.whoami(new[-1]) is not None, within=_REFUSAL_SECONDS)
    eventually(lambda: cluster.whoami(unseen.id_token) is None, within=_REFUSAL_SECONDS)
    eventually(lambda: cluster.whoami(stolen.id_token) is None, within=_REFUSAL_SECONDS)
    print(f"old tokens are refused {time.monotonic() - began:.1f} s after the first new login")
    assert time.monotonic() - began < _REFUSAL_SECONDS
    assert party.userinfo(stolen.access_token).status_code == 401


@pytest.mark.covers("R-91")
def test_routine_rotation_by_annotation_refuses_nobody(
    cluster: KubeApiServer, party: RelyingParty, store: KubernetesStore
) -> None:
    old = party.sign_in(JANE.email, JANE.password).id_token
    assert cluster.whoami(old) is not None

    _annotate(store, "kube-idp.dev/rotate=routine spring-cleaning")

    deadline = time.monotonic() + 60
    while _kid(token := party.sign_in(JANE.email, JANE.password).id_token) == _kid(old):
        assert cluster.whoami(token) is not None
        assert time.monotonic() < deadline, "the keys do not rotate"
        time.sleep(0.2)
    assert cluster.whoami(token) is not None
    assert cluster.whoami(old) is not None
    ring = store.kubectl("get", "signingkeyrings", "signing-keys", "-o", "json").document()
    spec = ring["spec"]
    assert isinstance(spec, dict)
    assert spec["signing"] == _kid(token)
    assert "routine spring-cleaning" in spec["lastRotation"]


def _annotate(store: KubernetesStore, annotation: str) -> None:
    store.kubectl("annotate", "--overwrite", "skr", "signing-keys", annotation).check()


def _is_withdrawn(http: httpx.Client, kid: str) -> bool:
    keys = http.get("/keys").raise_for_status().json()["keys"]
    return kid not in {key["kid"] for key in keys}


def _kid(token: str) -> str:
    header = token.split(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"])
