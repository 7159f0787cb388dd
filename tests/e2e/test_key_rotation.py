"""Keys rotate every few seconds while kubectl works: not one call is refused.

ID tokens live ten seconds, so each call of kubectl fetches a new one, signed with the newest key.
"""

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.kit.relying_party import RelyingParty
from tests.kit.scene import AUDIENCE, JANE, provider_config
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubectl import kept_tokens, oidc_user
from tests.kit.servers.trust import authentication_config, wait_until_trusted
from tests.kit.stores import Store

pytestmark = pytest.mark.servers

_PACE_SECONDS = 0.2
_ROTATIONS = 3
_PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def provider(
    ca: CertificateAuthority, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[IdpProcess]:
    directory = tmp_path_factory.mktemp("provider")
    brisk = {
        "expiry": {"idTokens": "10s", "keyCacheFor": "2s"},
        "signer": {"type": "local", "config": {"keysRotationPeriod": "4s"}},
    }
    config = provider_config(directory, ca=ca, store=store, overrides=brisk)
    with IdpProcess(config, cwd=directory, ca=ca) as running:
        yield running


@pytest.fixture
def kubeconfig(
    cluster: KubeApiServer, party: RelyingParty, ca: CertificateAuthority, tmp_path: Path
) -> Path:
    tokens = party.sign_in(JANE.email, JANE.password)
    user = oidc_user(
        {
            "idp-issuer-url": party.issuer,
            "idp-certificate-authority-data": base64.b64encode(ca.pem.encode()).decode(),
            "client-id": AUDIENCE,
            "id-token": tokens.id_token,
            "refresh-token": tokens.refresh_token,
        }
    )
    return cluster.write_kubeconfig(tmp_path / "kubeconfig", user=user)


@dataclass(slots=True)
class _Work:
    """What happened: the keys that signed, one after the other, and what was refused."""

    signed_by: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    calls: int = 0


def test_no_call_is_refused_while_keys_rotate(
    cluster: KubeApiServer, party: RelyingParty, kubeconfig: Path
) -> None:
    work = _work(cluster, party, kubeconfig)

    assert work.refusals == []


def test_no_call_is_refused_after_the_api_server_restarted(
    cluster: KubeApiServer, party: RelyingParty, ca: CertificateAuthority, kubeconfig: Path
) -> None:
    """A fresh API server has just fetched the keys, and keeps its copy for all of `max-age`."""
    config = authentication_config(party.issuer, audience=AUDIENCE, ca=ca)
    cluster.restart(authentication_config=config)
    wait_until_trusted(cluster, lambda: party.sign_in(JANE.email, JANE.password).id_token)

    work = _work(cluster, party, kubeconfig)

    assert work.refusals == []


@pytest.mark.covers("K-18")
def test_no_call_is_refused_after_a_junk_token_renewed_the_key_cache(
    cluster: KubeApiServer, party: RelyingParty, kubeconfig: Path
) -> None:
    """A signature that no cached key fits makes the API server fetch the set anew."""
    token = party.sign_in(JANE.email, JANE.password).id_token
    signed, _, signature = token.rpartition(".")
    assert cluster.whoami(f"{signed}.{signature[::-1]}") is None

    work = _work(cluster, party, kubeconfig)

    assert work.refusals == []


def test_next_key_is_published_before_it_signs(party: RelyingParty) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    # When each was not there yet, for all that is known: when the look before was begun.
    unpublished: dict[str, float] = {}
    looked_at = float("-inf")
    signing = [_kid(party.sign_in(JANE.email, JANE.password).id_token)]

    while len(signing) <= 2:
        assert time.monotonic() < deadline, "the keys do not rotate"
        before, looked_at = looked_at, time.monotonic()
        for key in party.http.get("/keys").json()["keys"]:
            unpublished.setdefault(key["kid"], before)
        kid = _kid(party.sign_in(JANE.email, JANE.password).id_token)
        if kid != signing[-1]:
            # Twice the max-age of two seconds, less the way of a new key from store to set.
            assert time.monotonic() - unpublished[kid] > 3.5
            signing.append(kid)
        time.sleep(_PACE_SECONDS)


def _work(cluster: KubeApiServer, party: RelyingParty, kubeconfig: Path) -> _Work:
    """Call kubectl and sign in anew, five calls a second, until enough keys have signed enough."""
    work = _Work()
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while len(work.signed_by) <= _ROTATIONS or work.calls <= 3 * _ROTATIONS:
        assert time.monotonic() < deadline, f"the keys do not rotate: {work.signed_by}"
        began = time.monotonic()
        answer = cluster.kubectl("auth", "whoami", kubeconfig=kubeconfig)
        if answer.status:
            work.refusals.append(answer.stderr)
        _note(work, kept_tokens(kubeconfig)["id-token"])
        if work.calls % 5 == 0:
            fresh = party.sign_in(JANE.email, JANE.password).id_token
            if cluster.whoami(fresh) is None:
                work.refusals.append(f"a fresh login, signed with {_kid(fresh)}")
            _note(work, fresh)
        time.sleep(max(0.0, _PACE_SECONDS - (time.monotonic() - began)))
    return work


def _note(work: _Work, token: str) -> None:
    work.calls += 1
    kid = _kid(token)
    if kid not in work.signed_by:
        work.signed_by.append(kid)


def _kid(token: str) -> str:
    header = token.split(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"])
