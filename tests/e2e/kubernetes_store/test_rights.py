"""Each right of the chart's Role is needed: without it something breaks, named here."""

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import anyio
import httpx
import pytest

from connectors.passwords import new_hash
from idp.clock import system_clock
from idp.keys.seal import SECRET_LENGTH, SealingKey, SealingKeys
from idp.oauth.client_assertion import JWT_BEARER
from storage.base import StorageError
from storage.collection import Collection
from storage.kinds import GRANTS, USED_ASSERTIONS, Kind
from storage.kubernetes.access import from_kube_config
from storage.kubernetes.api import open_api_server
from storage.kubernetes.backend import KubernetesBackend
from storage.sweep import sweep_once
from tests.kit.registration import (
    CALLBACK,
    INITIAL_TOKEN,
    METADATA,
    Registered,
    bearer,
    registration_section,
)
from tests.kit.relying_party import RelyingParty, SignInFailed, read_form
from tests.kit.scene import JANE, kubernetes_party, provider_config
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubernetes_store import KubernetesStore, kubernetes_store
from tests.kit.servers.process import ServerFailed
from tests.kit.servers.rbac import Rule
from tests.kit.signing_client import SigningClient
from tests.kit.waiting import becomes, eventually

pytestmark = [pytest.mark.servers, pytest.mark.covers("R-95", "K-16")]

_HOPELESS_SECONDS = 8
"""Who does not serve after so long, and has said which right is missing, will not."""

_PATIENCE_SECONDS = 30.0
_SHORT_SECONDS = 3.0
"""So long is waited for what is not to happen."""

_LEASE_SECONDS = 8.0
_LIVE_SECONDS = 1.0
_TIMES = 8
"""Without a watch the server lists every few seconds: some changes are seen at once, not all."""

_EMAIL = "rita@example.com"
_PASSWORD = "lovely metre maid"


@dataclass(frozen=True, slots=True)
class World:
    """A provider in a namespace of its own."""

    store: KubernetesStore
    provider: IdpProcess
    party: RelyingParty
    asking: Callable[[], AbstractContextManager[IdpProcess]]
    """Lets the provider ask people whether they allow it."""
    patience: float
    """Seconds in which what works is seen to."""

    def soon(
        self, is_so: Callable[[], bool], *, within: float | None = None, at_least: float = 0.0
    ) -> bool:
        """Tell whether something becomes so, by default while there is patience."""
        return becomes(is_so, within=max(self.patience, at_least) if within is None else within)

    def signs_in(self, email: str = _EMAIL, password: str = _PASSWORD) -> bool:
        """Tell whether somebody can sign in."""
        try:
            return bool(self.party.sign_in(email, password).id_token)
        except (SignInFailed, httpx.HTTPStatusError):
            return False


def _starts(_: World) -> bool:
    return True  # or the world would not exist


def _a_login_is_kept(world: World) -> bool:
    return world.signs_in(JANE.email, JANE.password)


def _a_refresh_token_is_taken(world: World) -> bool:
    tokens = world.party.sign_in(JANE.email, JANE.password)
    answer = world.party.token(grant_type="refresh_token", refresh_token=tokens.refresh_token)
    return answer.status_code == 200


def _a_deleted_grant_is_noticed(world: World) -> bool:
    tokens = world.party.sign_in(JANE.email, JANE.password)
    names = [grant["metadata"]["name"] for grant in world.store.grants()]
    world.store.kubectl("delete", "refreshgrants", *names).check()
    return world.soon(lambda: world.party.userinfo(tokens.access_token).status_code == 401)


def _what_has_expired_is_swept(world: World) -> bool:
    world.store.apply(
        _state(
            "RefreshGrant",
            "expired",
            {"sealed": "x", "expires": "2001-01-01T00:00:00Z"},
            labels={"kube-idp.dev/expires-day": "2001-01-01"},
        )
    )
    anyio.run(_sweep, world.store, GRANTS)
    names = {grant["metadata"]["name"] for grant in world.store.grants()}
    world.store.kubectl("delete", "refreshgrant", "expired", "--ignore-not-found").check()
    return "expired" not in names


def _a_client_proves_itself_by_its_key(world: World) -> bool:
    now = int(system_clock().timestamp())
    claims = {"iss": "signer", "sub": "signer", "aud": world.provider.issuer, "exp": now + 60}
    signer = SigningClient("signer", world.provider.issuer, alg="ES256", typ=None)
    with world.provider.client() as http:
        answer = http.post(
            f"{world.provider.issuer}/token",
            data={
                "grant_type": "client_credentials",
                "client_assertion_type": JWT_BEARER,
                "client_assertion": signer.jwt({**claims, "jti": secrets.token_hex(8)}),
            },
        )
    return answer.status_code == 200


def _assertions_that_have_expired_are_swept(world: World) -> bool:
    world.store.apply(
        _state(
            "UsedAssertion",
            "expired",
            {"sealed": "x", "expires": "2001-01-01T00:00:00Z"},
            labels={"kube-idp.dev/expires-day": "2001-01-01"},
        )
    )
    anyio.run(_sweep, world.store, USED_ASSERTIONS)
    left = world.store.kubectl("get", "usedassertions", "-o", "name").check()
    world.store.kubectl("delete", "usedassertion", "expired", "--ignore-not-found").check()
    return "expired" not in left


def _a_client_registers(world: World) -> bool:
    return _register(world) is not None


def _a_client_reads_its_registration(world: World) -> bool:
    client = _register(world)
    return client is not None and _manage(world, "GET", client) == 200


def _a_client_changes_its_registration(world: World) -> bool:
    client = _register(world)
    return client is not None and _manage(world, "PUT", client) == 200


def _a_client_removes_its_registration(world: World) -> bool:
    client = _register(world)
    return client is not None and _manage(world, "DELETE", client) == 204


def _each_removed_client_is_gone_at_once(world: World) -> bool:
    def is_gone(client: Registered) -> bool:
        world.store.kubectl("delete", "registeredclient", client.id).check()
        return world.soon(lambda: not _is_known(world, client), within=_LIVE_SECONDS)

    clients = [_register(world) for _ in range(_TIMES)]
    return all(client is not None and is_gone(client) for client in clients)


def _a_key_is_rotated_by_annotation(world: World) -> bool:
    before = _ring(world)["signing"]
    annotation = f"kube-idp.dev/rotate=emergency {secrets.token_hex(4)}"
    world.store.kubectl("annotate", "--overwrite", "skr", "signing-keys", annotation).check()
    return world.soon(lambda: _ring(world)["signing"] != before)


def _an_applied_client_is_live(world: World) -> bool:
    world.store.apply(_written("OIDCClient", "live", _CLIENT))
    return world.soon(lambda: _has_login_page(world, "live"))


def _each_applied_client_is_live_at_once(world: World) -> bool:
    def is_live(name: str) -> bool:
        world.store.apply(_written("OIDCClient", name, {**_CLIENT, "clientID": name}))
        return world.soon(lambda: _has_login_page(world, name), within=_LIVE_SECONDS)

    return all(is_live(f"live-{number}") for number in range(_TIMES))


def _an_applied_user_is_live(world: World) -> bool:
    world.store.apply(_written("LocalUser", "rita", _USER))
    return world.soon(world.signs_in)


def _each_changed_user_is_live_at_once(world: World) -> bool:
    def is_live(password: str) -> bool:
        user = {**_USER, "passwordHash": new_hash(password)}
        world.store.apply(_written("LocalUser", "rita", user))
        return world.soon(lambda: world.signs_in(password=password), within=_LIVE_SECONDS)

    return all(is_live(f"{_PASSWORD} {number}") for number in range(_TIMES))


def _each_lock_is_taken_at_once(world: World) -> bool:
    def is_taken(number: int) -> bool:
        locked = number % 2 == 0
        spec = {"connector": "local", "userID": "rita", "locked": locked}
        world.store.apply(_state("UserState", "rita", spec))
        return world.soon(lambda: world.signs_in() is not locked, within=_LIVE_SECONDS)

    world.store.apply(_written("LocalUser", "rita", _USER))
    return world.soon(world.signs_in) and all(is_taken(number) for number in range(_TIMES))


def _a_locked_person_is_kept_out(world: World) -> bool:
    world.store.apply(_written("LocalUser", "rita", _USER))
    if not world.soon(world.signs_in):
        return False
    spec = {"connector": "local", "userID": "rita", "locked": True}
    world.store.apply(_state("UserState", "rita", spec))
    is_out = world.soon(lambda: not world.signs_in())
    world.store.kubectl("delete", "userstate", "rita").check()
    return is_out


def _a_consent_is_remembered(world: World) -> bool:
    with world.asking() as provider:
        return _allows(provider, "openid") and not _is_asked(provider, "openid")


def _a_second_consent_is_remembered(world: World) -> bool:
    with world.asking() as provider:
        both = [_allows(provider, scope) for scope in ("openid", "openid email")]
        return all(both) and not _is_asked(provider, "openid email")


def _allows(provider: IdpProcess, scope: str) -> bool:
    """Sign in as somebody and allow what is asked; tell whether that worked."""
    with provider.client() as browser:
        url = kubernetes_party(browser, provider.issuer).depart(scopes=scope.split()).url
        page = _signed_in(browser, url)
        if page.status_code == 303:
            # Another probe allowed it before.
            return True
        form = read_form(page.text)
        answer = {**form.fields, "approval": "approve"}
        return browser.post(urljoin(url, form.action), data=answer).status_code == 303


def _is_asked(provider: IdpProcess, scope: str) -> bool:
    """Tell whether who signs in with another browser has to allow it."""
    with provider.client() as browser:
        url = kubernetes_party(browser, provider.issuer).depart(scopes=scope.split()).url
        return _signed_in(browser, url).status_code == 200


def _signed_in(browser: httpx.Client, url: str) -> httpx.Response:
    form = read_form(browser.get(url).text)
    sent = {**form.fields, "login": JANE.email, "password": JANE.password}
    return browser.post(urljoin(url, form.action), data=sent)


def _an_applied_connector_is_live(world: World) -> bool:
    with _applied_connector(world, "corp"):
        return world.soon(lambda: _is_offered(world, "corp"))


def _each_applied_connector_is_live_at_once(world: World) -> bool:
    def is_live(name: str) -> bool:
        with _applied_connector(world, name):
            return world.soon(lambda: _is_offered(world, name), within=_LIVE_SECONDS)

    return all(is_live(f"corp-{number}") for number in range(_TIMES))


def _a_connector_has_a_status(world: World) -> bool:
    with _applied_connector(world, "told"):
        return world.soon(lambda: _has_status(world, "identityconnector", "told"))


def _a_client_has_a_status(world: World) -> bool:
    world.store.apply(_written("OIDCClient", "told", {**_CLIENT, "clientID": "told"}))
    return world.soon(lambda: _has_status(world, "oidcclient", "told"))


def _a_user_has_a_status(world: World) -> bool:
    world.store.apply(_written("LocalUser", "rita", _USER))
    return world.soon(lambda: _has_status(world, "localuser", "rita"))


def _a_faulty_client_has_an_event(world: World) -> bool:
    spec = {"clientID": "faulty", "secretRef": {"name": "missing"}, "redirectURIs": []}
    world.store.apply(_written("OIDCClient", "faulty", spec))
    return world.soon(lambda: "faulty" in world.store.kubectl("get", "events").check())


def _somebody_leads(world: World) -> bool:
    return world.soon(lambda: bool(_lease(world).get("holderIdentity")))


def _the_lease_is_renewed(world: World) -> bool:
    if not _somebody_leads(world):
        return False
    first = _lease(world)["renewTime"]
    return world.soon(lambda: _lease(world)["renewTime"] != first, at_least=_LEASE_SECONDS)


_Probe = Callable[[World], bool]
_Right = tuple[str, str, str]

_PROBES: Mapping[_Right, _Probe] = {
    ("kube-idp.dev", "oidcclients", "list"): _an_applied_client_is_live,
    ("kube-idp.dev", "oidcclients", "watch"): _each_applied_client_is_live_at_once,
    ("kube-idp.dev", "localusers", "list"): _an_applied_user_is_live,
    ("kube-idp.dev", "localusers", "watch"): _each_changed_user_is_live_at_once,
    ("kube-idp.dev", "identityconnectors", "list"): _an_applied_connector_is_live,
    ("kube-idp.dev", "identityconnectors", "watch"): _each_applied_connector_is_live_at_once,
    ("kube-idp.dev", "identityconnectors/status", "patch"): _a_connector_has_a_status,
    ("kube-idp.dev", "oidcclients/status", "patch"): _a_client_has_a_status,
    ("kube-idp.dev", "localusers/status", "patch"): _a_user_has_a_status,
    ("", "events", "create"): _a_faulty_client_has_an_event,
    ("state.kube-idp.dev", "refreshgrants", "get"): _a_refresh_token_is_taken,
    ("state.kube-idp.dev", "refreshgrants", "list"): _a_deleted_grant_is_noticed,
    ("state.kube-idp.dev", "refreshgrants", "watch"): _a_deleted_grant_is_noticed,
    ("state.kube-idp.dev", "refreshgrants", "create"): _a_login_is_kept,
    ("state.kube-idp.dev", "refreshgrants", "update"): _a_login_is_kept,
    ("state.kube-idp.dev", "refreshgrants", "delete"): _what_has_expired_is_swept,
    ("state.kube-idp.dev", "signingkeyrings", "get"): _starts,
    ("state.kube-idp.dev", "signingkeyrings", "list"): _a_key_is_rotated_by_annotation,
    ("state.kube-idp.dev", "signingkeyrings", "watch"): _a_key_is_rotated_by_annotation,
    ("state.kube-idp.dev", "signingkeyrings", "create"): _starts,
    ("state.kube-idp.dev", "signingkeyrings", "update"): _a_key_is_rotated_by_annotation,
    ("state.kube-idp.dev", "usedassertions", "list"): _assertions_that_have_expired_are_swept,
    ("state.kube-idp.dev", "usedassertions", "create"): _a_client_proves_itself_by_its_key,
    ("state.kube-idp.dev", "usedassertions", "delete"): _assertions_that_have_expired_are_swept,
    ("state.kube-idp.dev", "userstates", "get"): _a_consent_is_remembered,
    ("state.kube-idp.dev", "userstates", "create"): _a_consent_is_remembered,
    ("state.kube-idp.dev", "userstates", "patch"): _a_second_consent_is_remembered,
    ("state.kube-idp.dev", "registeredclients", "get"): _a_client_reads_its_registration,
    ("state.kube-idp.dev", "registeredclients", "list"): _starts,
    ("state.kube-idp.dev", "registeredclients", "watch"): _each_removed_client_is_gone_at_once,
    ("state.kube-idp.dev", "registeredclients", "create"): _a_client_registers,
    ("state.kube-idp.dev", "registeredclients", "update"): _a_client_changes_its_registration,
    ("state.kube-idp.dev", "registeredclients", "delete"): _a_client_removes_its_registration,
    ("state.kube-idp.dev", "userstates", "list"): _a_locked_person_is_kept_out,
    ("state.kube-idp.dev", "userstates", "watch"): _each_lock_is_taken_at_once,
    ("coordination.k8s.io", "leases", "create"): _somebody_leads,
    ("coordination.k8s.io", "leases", "get"): _somebody_leads,
    ("coordination.k8s.io", "leases", "update"): _the_lease_is_renewed,
    ("", "secrets", "get"): _starts,
    ("", "secrets", "create"): _starts,
    ("", "secrets", "patch"): _starts,
}
"""By right what breaks without it."""

_SWEEPS = (_what_has_expired_is_swept, _assertions_that_have_expired_are_swept)
"""These do it themselves, as the provider would in some minutes."""


def test_every_right_of_the_chart_has_its_probe(rules: Sequence[Rule]) -> None:
    assert sorted(right for rule in rules for right in _rights(rule)) == sorted(_PROBES)


@pytest.mark.timeout(600)
def test_with_all_of_them_everything_works(
    kube_with_crds: KubeApiServer, rules: Sequence[Rule], ca: CertificateAuthority, tmp_path: Path
) -> None:
    probes = dict.fromkeys(_PROBES.values())
    with _world(kube_with_crds, rules, ca, tmp_path, patience=_PATIENCE_SECONDS) as world:
        failed = [probe.__name__ for probe in probes if not probe(world)]

    assert failed == []


@pytest.mark.parametrize("right", _PROBES, ids="/".join)
def test_without_one_of_them_something_breaks(
    kube_with_crds: KubeApiServer,
    rules: Sequence[Rule],
    ca: CertificateAuthority,
    tmp_path: Path,
    right: _Right,
) -> None:
    remaining = [rule for each in rules for rule in _without(each, right)]
    log = tmp_path / "idp.log"

    def is_named() -> bool:
        """Tell whether the log names the right that is missing, for the operator."""
        return log.exists() and _names(log.read_text(), right)

    try:
        with _world(
            kube_with_crds, remaining, ca, tmp_path, patience=_SHORT_SECONDS, is_hopeless=is_named
        ) as world:
            works = _PROBES[right](world)
            if _PROBES[right] not in _SWEEPS:
                # What is done now and then alone may be denied a little later.
                eventually(is_named, within=_PATIENCE_SECONDS)
    except ServerFailed:
        works = False

    assert not works
    if _PROBES[right] not in _SWEEPS:
        assert is_named()


def _names(log: str, right: _Right) -> bool:
    _, resource, verb = right
    return verb in log and resource.partition("/")[0] in log


@contextmanager
def _world(
    kube: KubeApiServer,
    rules: Sequence[Rule],
    ca: CertificateAuthority,
    directory: Path,
    *,
    patience: float,
    is_hopeless: Callable[[], bool] = lambda: False,
) -> Iterator[World]:
    """Start a provider; one that lacks a right for it does not come up, and says so."""
    store = kubernetes_store(kube, directory=directory, rules=rules)
    signer = {
        "id": "signer",
        "tokenEndpointAuthMethod": "private_key_jwt",
        "jwks": SigningClient("signer", "", alg="ES256").jwks,
    }
    overrides = {"registration": registration_section()}
    config = provider_config(directory, ca=ca, store=store, clients=[signer], overrides=overrides)
    provider = IdpProcess(config, cwd=directory, ca=ca)
    provider.launch()
    hopeless_at = time.monotonic() + _HOPELESS_SECONDS
    try:
        provider.wait_until_served(unless=lambda: time.monotonic() > hopeless_at and is_hopeless())
        with provider.client() as http:
            party = kubernetes_party(http, provider.issuer)
            yield World(store, provider, party, lambda: _asking(provider, config), patience)
    finally:
        provider.kill_if_running()


@contextmanager
def _asking(provider: IdpProcess, config: Mapping[str, object]) -> Iterator[IdpProcess]:
    """Let the provider ask people whether they allow it, for as long as the block lasts."""
    asking = {"oauth2": {"skipApprovalScreen": False}, "sessions": {"enabled": True}}
    provider.restart({**config, **asking})
    try:
        yield provider
    finally:
        provider.restart(config)


def _rights(rule: Rule) -> list[_Right]:
    return [
        (group, resource, verb)
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def _without(rule: Rule, right: _Right) -> list[Rule]:
    """Return the rule as one rule for each of its rights, the one left out."""
    return [
        {**rule, "apiGroups": [group], "resources": [resource], "verbs": [verb]}
        for group, resource, verb in _rights(rule)
        if (group, resource, verb) != right
    ]


async def _sweep(store: KubernetesStore, kind: Kind[Any]) -> None:
    """Sweep as the provider does every few minutes, with its own rights."""
    api = open_api_server(await from_kube_config(store.kubeconfig))
    key = SealingKey(secrets.token_bytes(SECRET_LENGTH))
    records = Collection(
        backend=KubernetesBackend(api),
        kind=kind,
        sealer=SealingKeys([key], random=secrets.token_bytes),
        issuer="https://nobody.example.com",
    )
    try:
        await sweep_once(records, system_clock(), limit=10)
    except StorageError as error:
        print(error)
    finally:
        await api.close()


def _has_login_page(world: World, client_id: str) -> bool:
    other = RelyingParty(
        http=world.party.http,
        issuer=world.party.issuer,
        client_id=client_id,
        redirect_uri="https://live.example.com/callback",
    )
    return other.http.get(other.depart().url).status_code == 200


@contextmanager
def _applied_connector(world: World, name: str) -> Iterator[None]:
    """Take it away again: with two connectors people have to choose, and the others do not."""
    world.store.apply(_written("IdentityConnector", name, _CONNECTOR))
    try:
        yield
    finally:
        world.store.kubectl("delete", "identityconnector", name).check()
        world.soon(lambda: not _is_offered(world, name))


def _is_offered(world: World, connector_id: str) -> bool:
    return f'data-connector="{connector_id}"' in world.party.http.get(world.party.depart().url).text


def _register(world: World) -> Registered | None:
    answer = world.party.http.post("/register", json=METADATA, headers=bearer(INITIAL_TOKEN))
    return Registered(answer.json()) if answer.status_code == 201 else None


def _manage(world: World, method: str, client: Registered) -> int:
    body = {"client_id": client.id, **METADATA} if method == "PUT" else None
    http = world.party.http
    return http.request(method, client.path, json=body, headers=client.headers).status_code


def _is_known(world: World, client: Registered) -> bool:
    party = RelyingParty(
        http=world.party.http,
        issuer=world.party.issuer,
        client_id=client.id,
        redirect_uri=CALLBACK,
    )
    return party.http.get(party.depart().url).status_code == 200


def _ring(world: World) -> Mapping[str, Any]:
    ring = world.store.kubectl("get", "skr", "signing-keys", "-o", "json").document()
    spec: Mapping[str, Any] = json.loads(json.dumps(ring["spec"]))
    return spec


def _lease(world: World) -> Mapping[str, Any]:
    answer = world.store.kubectl("get", "lease", "kube-idp", "-o", "json")
    found: Mapping[str, Any] = json.loads(answer.stdout)["spec"] if answer.status == 0 else {}
    return found


def _has_status(world: World, kind: str, name: str) -> bool:
    return bool(world.store.kubectl("get", kind, name, "-o", "json").document().get("status"))


_CLIENT = {
    "clientID": "live",
    "public": True,
    "redirectURIs": ["https://live.example.com/callback"],
}
_CONNECTOR = {
    "type": "ldap",
    "ldap": {"host": "127.0.0.1:1", "userSearch": {"baseDN": "dc=x", "username": ["uid"]}},
}
_USER = {"email": _EMAIL, "passwordHash": new_hash(_PASSWORD)}


def _written(kind: str, name: str, spec: Mapping[str, object]) -> Mapping[str, object]:
    return {
        "apiVersion": "kube-idp.dev/v1beta1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": dict(spec),
    }


def _state(
    kind: str, name: str, spec: Mapping[str, object], *, labels: Mapping[str, str] | None = None
) -> Mapping[str, object]:
    return {
        "apiVersion": "state.kube-idp.dev/v1beta1",
        "kind": kind,
        "metadata": {"name": name, "labels": dict(labels or {})},
        "spec": dict(spec),
    }
