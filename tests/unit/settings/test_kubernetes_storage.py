"""`storage.type: kubernetes`: Dex's keys, ours, and what cannot stand together."""

from pathlib import Path

import pytest

from idp.settings import KubernetesStorage
from tests.unit.settings.conftest import Read, Refuse


def _config(read: Read, config: str) -> KubernetesStorage:
    environ = {"IDP_KEYS": "some text"}
    found = read(f"storage: {{type: kubernetes, config: {{{config}}}}}", environ).storage.config
    assert isinstance(found, KubernetesStorage)
    return found


def test_a_section_of_dex_works_as_it_is(read: Read) -> None:
    config = _config(read, "inCluster: true, crdHandling: ensure")
    assert config.in_cluster
    assert config.kube_config_file is None
    assert config.crd_handling == "ensure"


def test_a_server_elsewhere_has_a_kubeconfig(read: Read) -> None:
    config = _config(read, "kubeConfigFile: kube/config, inCluster: false, namespace: login")
    assert config.kube_config_file == Path("kube/config")
    assert not config.in_cluster
    assert config.namespace == "login"


def test_crds_are_only_checked_unless_asked_otherwise(read: Read) -> None:
    config = _config(read, "inCluster: 'true'")
    assert config.crd_handling == "check"
    assert not config.generate_client_secrets
    assert config.namespace is None


@pytest.mark.parametrize(
    ("given", "secret"),
    [
        ("crdHandling: check", "kube-idp-sealing-keys"),
        ("keySecret: my.keys", "my.keys"),
        ("keyFile: /keys/keys", None),
        ("keyEnv: IDP_KEYS", None),
    ],
)
def test_the_sealing_keys_are_in_a_secret_unless_they_come_from_outside(
    read: Read, given: str, secret: str | None
) -> None:
    assert _config(read, f"inCluster: true, {given}").sealing_secret == secret


@pytest.mark.parametrize(
    ("config", "path", "hint"),
    [
        ("", "config", "needs `inCluster: true` for a server in a pod, or `kubeConfigFile`"),
        ("inCluster: false", "config", "needs `inCluster: true`"),
        ("inCluster: true, kubeConfigFile: a", "config.kubeConfigFile", "remove it, or"),
        ("inCluster: maybe, kubeConfigFile: a", "config.inCluster", "must be true or false"),
        ("inCluster: true, keyFile: a, keySecret: b", "config.keySecret", "come from `keyFile`"),
        ("inCluster: true, keySecret: a, keyFile: b", "config.keySecret", "come from `keyFile`"),
        ("inCluster: true, keyFile: a, keyEnv: IDP_KEYS", "config.keyEnv", "remove one of the two"),
        ("inCluster: true, keyEnv: NOT_SET", "config.keyEnv", "`NOT_SET` is not set, or empty"),
        ("inCluster: true, keyEnv: IDP_EMPTY", "config.keyEnv", "is not set, or empty"),
        ("inCluster: true, keySecret: My_Keys", "config.keySecret", "is not the name of a Secret"),
        ("inCluster: true, keySecret: a..b", "config.keySecret", "is not the name of a Secret"),
        ("inCluster: true, namespace: Login", "config.namespace", "is not a namespace"),
        ("inCluster: true, namespace: ../x", "config.namespace", "is not a namespace"),
        ("inCluster: true, crdHandling: create", "config.crdHandling", "not one of check, ensure"),
        ("inCluster: true, crdhandling: check", "config.crdhandling", "did you mean `crdHandling`"),
        ("inClusterr: true", "config.inClusterr", "did you mean `inCluster`?"),
        ("inCluster: true, generateClientSecrets: 1", "config.generateClientSecrets", "true or"),
    ],
)
def test_refusals_name_path_and_remedy(refuse: Refuse, config: str, path: str, hint: str) -> None:
    environ = {"IDP_KEYS": "some text", "IDP_EMPTY": ""}
    problems = refuse(f"storage: {{type: kubernetes, config: {{{config}}}}}", environ)
    told = {problem.path: problem.message for problem in problems}
    assert hint in told[f"storage.{path}"]


def test_both_other_places_of_keys_are_told(refuse: Refuse) -> None:
    problems = refuse(
        "storage:\n  type: kubernetes\n  config:\n    inCluster: true\n    keyEnv: IDP_KEYS\n"
        "    keyFile: b\n    keySecret: c",
        {"IDP_KEYS": "x"},
    )
    assert [(problem.line, problem.path) for problem in problems] == [
        (5, "storage.config.keyEnv"),
        (7, "storage.config.keySecret"),
    ]


@pytest.mark.parametrize("key", ["IDP KEYS", "k1:AAAA", "A=B", "9LIVES"])
def test_a_key_in_place_of_a_variable_is_not_shown_as_one(refuse: Refuse, key: str) -> None:
    config = f"{{type: kubernetes, config: {{inCluster: true, keyEnv: '{key}'}}}}"
    (problem,) = refuse(f"storage: {config}")
    assert "must be the name of an environment variable" in problem.message
    assert key not in problem.message


def test_users_and_peers_that_are_objects_are_not_doubted(read: Read) -> None:
    settings = read(
        "storage: {type: kubernetes, config: {inCluster: true}}\nenablePasswordDB: true\n"
        "staticClients:\n- {id: a, secret: long-enough-secret, redirectURIs: [],"
        " trustedPeers: [an-object]}"
    )
    assert settings.warnings == ()


def test_connectors_may_be_objects(read: Read) -> None:
    settings = read(
        "storage: {type: kubernetes, config: {inCluster: true}}\n"
        "oauth2: {grantTypes: [authorization_code]}"
    )
    assert settings.warnings == ()
