"""Somebody has a dump of etcd: they can do nothing with it, as long as the keys are elsewhere.

The dump holds no secret of the run in any common way of writing, and nothing that looks like a
credential is accepted anywhere. With sealing keys in a Secret that holds only if etcd is encrypted.
"""

import base64
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urljoin, urlsplit

import anyio
import pytest

from connectors.passwords import new_hash
from idp.keys.key_file import load_or_create, parse
from idp.keys.seal import SealingKeys
from storage.collection import Collection
from storage.kinds import GRANTS, KEY_RINGS
from storage.kubernetes.access import from_kube_config
from storage.kubernetes.api import open_api_server
from storage.kubernetes.backend import KubernetesBackend
from tests.kit.install.binaries import Binaries
from tests.kit.registration import INITIAL_TOKEN, register_at, registration_section
from tests.kit.relying_party import RelyingParty, Tokens, read_form, submit_login
from tests.kit.scene import EXAMPLE_SECRET, JANE, example_party, kubernetes_party, provider_config
from tests.kit.secret_search import Secrets, token_like
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.etcd import Etcd
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubernetes_store import (
    KubernetesStore,
    install_crds,
    kubernetes_store,
)
from tests.kit.servers.rbac import Rule

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300), pytest.mark.covers("R-88", "R-89")]

_PASSWORD = "plain as the nose on your face"
_MOST_REPLAYED = 1_500


@pytest.fixture(scope="module")
def etcd(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    with Etcd(binaries.etcd, directory=tmp_path_factory.mktemp("etcd")) as running:
        yield running


@pytest.fixture(scope="module")
def kube(
    binaries: Binaries,
    ca: CertificateAuthority,
    etcd: Etcd,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[KubeApiServer]:
    """Yield an API server of this file's own. Once it has encrypted, it must go on to."""
    directory = tmp_path_factory.mktemp("kube")
    with KubeApiServer(binaries, etcd=etcd, ca=ca, directory=directory) as running:
        install_crds(running)
        yield running


@dataclass(frozen=True, slots=True)
class _Run:
    """A provider that has been used, and every secret that was around."""

    provider: IdpProcess
    secrets: Secrets
    sealing_keys: str


@pytest.fixture(params=["key file", "encrypted Secret"])
def run(
    request: pytest.FixtureRequest,
    kube: KubeApiServer,
    rules: Sequence[Rule],
    ca: CertificateAuthority,
    tmp_path: Path,
) -> Iterator[_Run]:
    if request.param == "encrypted Secret":
        kube.restart(extra_flags=[f"--encryption-provider-config={_encryption(tmp_path)}"])
        store = kubernetes_store(kube, directory=tmp_path, rules=rules)
    else:
        key_file = tmp_path / "sealing-keys"
        load_or_create(key_file, secrets.token_bytes)
        store = kubernetes_store(kube, directory=tmp_path, rules=rules, key_file=key_file)
    with IdpProcess(_config(tmp_path, ca, store), cwd=tmp_path, ca=ca) as provider:
        yield _use(provider, store)


def test_search_finds_the_sealing_keys_of_a_secret_that_is_not_encrypted(
    kube: KubeApiServer,
    etcd: Etcd,
    rules: Sequence[Rule],
    ca: CertificateAuthority,
    tmp_path: Path,
) -> None:
    """What the start warns of, and the proof that the search below would find something."""
    store = kubernetes_store(kube, directory=tmp_path, rules=rules)
    with IdpProcess(_config(tmp_path, ca, store), cwd=tmp_path, ca=ca) as provider:
        used = _use(provider, store)
        warnings = [line for line in provider.log_lines() if line["level"] == "warning"]
    looked_for = Secrets()
    looked_for.add("sealing keys", used.sealing_keys)
    dump = {key.decode(): value for key, value in etcd.dump()}

    found = looked_for.found_in(dump)

    assert len(found) == 1
    assert found[0].endswith(f"/registry/secrets/{store.namespace}/kube-idp-sealing-keys")
    assert used.secrets.found_in(dump) == []
    assert any("etcd" in str(line) for line in warnings), warnings


def test_dump_holds_no_secret_and_nothing_of_it_is_accepted(run: _Run, etcd: Etcd) -> None:
    dump = {key.decode(): value for key, value in etcd.dump()}
    run.secrets.add("sealing keys", run.sealing_keys)
    for line in run.sealing_keys.splitlines():
        if not line.startswith("#"):
            run.secrets.add("sealing key", line.split()[1])

    # It is the right dump: what people may see is in it.
    assert any(b'"user":"jane"' in value for value in dump.values())
    assert run.secrets.found_in(dump) == []
    candidates = token_like(value for key, value in dump.items() if "kube-idp.dev" in key)
    assert 10 < len(candidates) < _MOST_REPLAYED
    assert _accepted(run.provider, candidates) == []


def _config(
    directory: Path, ca: CertificateAuthority, store: KubernetesStore
) -> Mapping[str, object]:
    overrides = {"registration": registration_section()}
    return provider_config(directory, ca=ca, store=store, overrides=overrides)


def _use(provider: IdpProcess, store: KubernetesStore) -> _Run:
    """Do what people do, and remember every secret that they had to do with."""
    found = Secrets()
    for name, password in (("password", JANE.password), ("password of an object", _PASSWORD)):
        found.add(name, password)
    found.add("client secret", EXAMPLE_SECRET)
    found.add("initial access token", INITIAL_TOKEN)
    store.apply(_user())
    with provider.client() as http:
        party = kubernetes_party(http, provider.issuer)
        application = example_party(http, provider.issuer)
        for _ in range(3):
            _note(found, tokens := party.sign_in(JANE.email, JANE.password))
            _note(found, party.refresh(tokens.refresh_token))
        _note(found, party.sign_in("eve@example.com", _PASSWORD))
        _note(found, application.sign_in(JANE.email, JANE.password))
        service = application.token(grant_type="client_credentials").raise_for_status().json()
        found.add_token("access token of a client", service["access_token"])
        _note_login(found, party)
        client = register_at(http)
        found.add("secret of a registered client", client.credentials[1])
        found.add("registration access token", str(client.answer["registration_access_token"]))
    sealing_keys = _sealing_keys(store)
    anyio.run(_note_sealed, found, store, provider.issuer, sealing_keys)
    return _Run(provider, found, sealing_keys)


def _note(found: Secrets, tokens: Tokens) -> None:
    found.add_token("ID token", tokens.id_token)
    found.add_token("access token", tokens.access_token)
    # Its first part names the record, and is no secret.
    found.add_token("refresh token", tokens.refresh_token, except_parts=_name_of(tokens))


def _name_of(tokens: Tokens) -> tuple[str, ...]:
    return (tokens.refresh_token.split(".")[0],)


def _note_login(found: Secrets, party: RelyingParty) -> None:
    """Leave one code unspent, one form unsent."""
    attempt = party.depart()
    location = submit_login(party.http, attempt.url, login=JANE.email, password=JANE.password)
    code = dict(parse_qsl(urlsplit(location).query))["code"]
    found.add_token("code", code, except_parts=(code.split(".")[0],))
    found.add("verifier", attempt.code_verifier)
    page = party.http.get(party.depart().url)
    found.add("state of a login", read_form(page.text).fields["state"])
    for cookie in party.http.cookies.jar:
        found.add("cookie", cookie.value or "")


async def _note_sealed(
    found: Secrets, store: KubernetesStore, issuer: str, sealing_keys: str
) -> None:
    """Open what is sealed, with the keys: these are the secrets that matter most."""
    api = open_api_server(await from_kube_config(store.kubeconfig))
    backend = KubernetesBackend(api)
    try:
        sealer = SealingKeys(parse(sealing_keys, where="the test"), random=secrets.token_bytes)
        rings = Collection(backend=backend, kind=KEY_RINGS, sealer=sealer, issuer=issuer)
        grants = Collection(backend=backend, kind=GRANTS, sealer=sealer, issuer=issuer)
        for key in (await rings.get("signing-keys")).record.keys:
            members = json.loads(key.private_jwk)
            for name in ("d", "p", "q"):
                found.add(f"{name} of a signing key", members[name])
        seeds = [stored.record.seed async for stored in grants.scan({})]
        assert len(seeds) >= 6
        for seed in seeds:
            found.add("seed of a grant", seed)
    finally:
        await backend.close()
        await api.close()


def _sealing_keys(store: KubernetesStore) -> str:
    if store.key_file is not None:
        return store.key_file.read_text()
    secret = store.kubectl("get", "secret", "kube-idp-sealing-keys", "-o", "json").document()
    data = secret["data"]
    assert isinstance(data, dict)
    return base64.b64decode(data["keys"]).decode()


def _accepted(provider: IdpProcess, candidates: set[str]) -> list[str]:
    """Return which of these somebody could use as a code, a refresh token or an access token."""
    good = []
    with provider.client() as http:
        party = kubernetes_party(http, provider.issuer)
        token_endpoint = urljoin(provider.issuer, "/token")
        for candidate in candidates:
            forms: list[Mapping[str, str]] = [
                {"grant_type": "refresh_token", "refresh_token": candidate},
                {
                    "grant_type": "authorization_code",
                    "code": candidate,
                    "redirect_uri": party.redirect_uri,
                },
            ]
            answers = [
                *(
                    http.post(token_endpoint, data={**form, "client_id": party.client_id})
                    for form in forms
                ),
                http.get("/userinfo", headers={"Authorization": f"Bearer {candidate}"}),
            ]
            good += [candidate for answer in answers if answer.status_code not in (400, 401)]
    return good


def _user() -> Mapping[str, object]:
    return {
        "apiVersion": "kube-idp.dev/v1beta1",
        "kind": "LocalUser",
        "metadata": {"name": "eve"},
        "spec": {"email": "eve@example.com", "passwordHash": new_hash(_PASSWORD)},
    }


def _encryption(directory: Path) -> Path:
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    config = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [
            {
                "resources": ["secrets"],
                "providers": [
                    {"secretbox": {"keys": [{"name": "test", "secret": key}]}},
                    {"identity": {}},
                ],
            }
        ],
    }
    path = directory / "encryption.json"
    path.write_text(json.dumps(config))
    return path
