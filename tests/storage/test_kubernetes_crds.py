"""The definitions on a real API server: applied, explained, listed, rolled back and forth."""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from storage.base import StorageError
from storage.kubernetes import crds
from storage.kubernetes.errors import Forbidden
from tests.kit.install.binaries import Binaries
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.etcd import Etcd
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubectl import bearer_user
from tests.kit.servers.rbac import wait_for_rules
from tests.storage.definitions import (
    HASH,
    Definitions,
    definition,
    spec_schema,
    wait_until,
    written,
)

pytestmark = pytest.mark.servers

GRANTS = "refreshgrants.state.kube-idp.dev"
CLIENTS = "oidcclients.kube-idp.dev"
CORP: dict[str, Any] = {
    "type": "ldap",
    "ldap": {"host": "ldap.example.com", "userSearch": {"baseDN": "dc=x", "username": ["uid"]}},
}
NAMES = [manifest.name for manifest in crds.manifests()]
SEALED = "v1.k1." + "A" * 4000


@pytest.fixture(scope="module")
def cluster(
    binaries: Binaries, ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Definitions]:
    """Yield a cluster of its own: these tests take definitions away and change them."""
    directory = tmp_path_factory.mktemp("definitions")
    with (
        Etcd(binaries.etcd, directory=directory / "etcd") as etcd,
        KubeApiServer(binaries, etcd=etcd, ca=ca, directory=directory / "kube") as kube,
    ):
        yield Definitions(kube)


@pytest.fixture
def definitions(cluster: Definitions) -> Definitions:
    """Return the cluster with our definitions as they are."""
    cluster.restore()
    return cluster


@pytest.fixture
def bare(definitions: Definitions) -> Definitions:
    """Return the cluster without any of our definitions."""
    definitions.kubectl("delete", "crd", "--wait", *NAMES)
    return definitions


def grant(name: str = "g1", **columns: str) -> dict[str, Any]:
    return written("RefreshGrant", name, {"sealed": SEALED, **columns})


JANE = grant(
    "jane-1",
    user="jane@example.com",
    clientID="kubernetes",
    connector="ldap",
    lastUsed="2026-01-02T03:04:05Z",
    expires="2999-01-02T03:04:05Z",
    ended="",
)


def test_what_is_missing_is_named_with_the_way_to_mend_it(bare: Definitions) -> None:
    assert bare.run(crds.missing) == NAMES
    with pytest.raises(crds.CrdsMissing) as caught:
        bare.run(crds.require)
    assert caught.value.names == tuple(NAMES)
    assert isinstance(caught.value, StorageError)
    assert str(caught.value) == (
        f"the API server does not serve {', '.join(NAMES)}; run"
        " `idp crds | kubectl apply --server-side -f -`, or set `crdHandling: ensure` in"
        " storage.config"
    )
    bare.kubectl("apply", "--server-side", "-f", "-", stdin=definition_text(CLIENTS))
    bare.kubectl("wait", "--for=condition=Established", f"crd/{CLIENTS}")
    assert bare.run(crds.missing) == [name for name in NAMES if name != CLIENTS]


def test_people_apply_what_is_printed(bare: Definitions) -> None:
    said = bare.kubectl("apply", "--server-side", "-f", "-", stdin=crds.text())
    assert said.splitlines() == [
        f"customresourcedefinition.apiextensions.k8s.io/{name} serverside-applied" for name in NAMES
    ]
    bare.kubectl("wait", "--for=condition=Established", "-f", "-", stdin=crds.text())
    assert bare.run(crds.missing) == []
    again = bare.kubectl("diff", "--server-side", "-f", "-", stdin=crds.text())
    assert again == ""


def test_ensuring_applies_all_and_waits_until_they_are_served(bare: Definitions) -> None:
    async def ensure_and_look(api: Any) -> list[str]:
        await crds.ensure(api)
        return await crds.missing(api)

    assert bare.run(ensure_and_look) == []


def test_ensuring_again_changes_nothing(definitions: Definitions) -> None:
    before = versions(definitions)
    definitions.run(crds.ensure)
    assert versions(definitions) == before


def test_ensuring_takes_over_what_others_applied(definitions: Definitions) -> None:
    theirs = definition(CLIENTS)
    theirs["spec"]["names"]["shortNames"] = ["theirs"]
    definitions.apply(theirs)
    definitions.run(crds.ensure)
    wait_until(lambda: " oc " in definitions.kubectl("api-resources", "--api-group=kube-idp.dev"))


def test_ensuring_leaves_a_later_revision_as_it_is(definitions: Definitions) -> None:
    later = definition(CLIENTS)
    later["metadata"]["annotations"][crds.REVISION] = "7"
    spec_schema(later)["properties"]["later"] = {"type": "string", "description": "New."}
    definitions.apply(later)
    before = versions(definitions)
    definitions.run(crds.ensure)
    assert versions(definitions) == before


def test_ensuring_needs_three_verbs_on_our_names_and_what_the_server_may_anyway(
    bare: Definitions, tmp_path: Path
) -> None:
    kubeconfig = account(bare, tmp_path, "ensurer", verbs=["get", "create", "patch"], lists=True)
    bare.run(crds.ensure, kubeconfig=kubeconfig)
    assert bare.run(crds.missing, kubeconfig=kubeconfig) == []


def test_without_the_right_to_apply_the_error_says_what_to_do(
    bare: Definitions, tmp_path: Path
) -> None:
    kubeconfig = account(bare, tmp_path, "looker", verbs=["get"], lists=True)
    with pytest.raises(Forbidden) as caught:
        bare.run(crds.ensure, kubeconfig=kubeconfig)
    assert "`crdHandling: ensure` needs the verbs get, create and patch" in str(caught.value)
    assert "run `idp crds | kubectl apply --server-side -f -`" in str(caught.value)


def test_without_the_right_to_list_nothing_is_called_missing(
    definitions: Definitions, tmp_path: Path
) -> None:
    kubeconfig = account(definitions, tmp_path, "nobody", verbs=["get"], lists=False)
    with pytest.raises(Forbidden, match=r"list.*kube-idp\.dev"):
        definitions.run(crds.missing, kubeconfig=kubeconfig)


def test_kubectl_explains_every_field(definitions: Definitions) -> None:
    for kind in ("oc", "lu", "idc", "rg", "skr", "ua", "ust"):
        assert "<no description>" not in definitions.explain(f"{kind}.spec")
    said = definitions.explain("oidcclients.spec.redirectURIs")
    assert "FIELD: redirectURIs <[]string>" in said
    assert "compared with\n    them character by character" in said
    said = definitions.explain("lu.status.conditions.status")
    assert "ENUM:\n    True\n    False\n    Unknown\n" in said


def test_lists_of_logins_are_read_and_selected_by_kubectl(definitions: Definitions) -> None:
    definitions.create(JANE)
    definitions.create(grant("bob-1", user="bob", clientID="kubernetes", connector="local"))
    lines = definitions.kubectl("get", "refreshgrants", "-o", "wide").splitlines()
    assert lines[0].split() == [
        "NAME", "USER", "CLIENT", "CONNECTOR", "LAST-USED", "EXPIRES", "AGE", "ENDED", "SESSION",
    ]  # fmt: skip
    row = next(line for line in lines if line.startswith("jane-1"))
    assert row.split()[:6] == [
        "jane-1", "jane@example.com", "kubernetes", "ldap", "2026-01-02T03:04:05Z",
        "2999-01-02T03:04:05Z",
    ]  # fmt: skip
    narrow = definitions.kubectl("get", "rg").splitlines()[0]
    assert "ENDED" not in narrow
    assert "SESSION" not in narrow
    assert "AGE" in narrow
    for selector, found in (
        ("spec.user=jane@example.com", "refreshgrant.state.kube-idp.dev/jane-1\n"),
        ("spec.connector=local", "refreshgrant.state.kube-idp.dev/bob-1\n"),
        ("spec.clientID=kubernetes,spec.user=bob", "refreshgrant.state.kube-idp.dev/bob-1\n"),
        ("spec.clientID=other", ""),
    ):
        got = definitions.kubectl("get", "rg", "--field-selector", selector, "-o", "name")
        assert got == found


@pytest.mark.parametrize(
    ("short", "item", "header", "wide"),
    [
        (
            "oc",
            written("OIDCClient", "shop", {"clientID": "shop", "public": True}),
            "NAME READY CLIENT-ID PUBLIC AGE",
            "NAME READY CLIENT-ID PUBLIC REASON AGE",
        ),
        (
            "lu",
            written("LocalUser", "jane", {"email": "jane@example.com", "passwordHash": HASH}),
            "NAME READY EMAIL LOCKED AGE",
            "NAME READY EMAIL LOCKED REASON AGE",
        ),
        (
            "idc",
            written("IdentityConnector", "corp", CORP),
            "NAME READY TYPE HOST REACHABLE AGE",
            "NAME READY TYPE HOST REACHABLE SINCE REASON AGE",
        ),
        (
            "skr",
            written("SigningKeyRing", "signing-keys", {"sealed": SEALED, "signing": "k1"}),
            "NAME SIGNING NEXT ROTATES AGE",
            "NAME SIGNING NEXT ROTATES AGE",
        ),
        (
            "ust",
            written("UserState", "jane", {"connector": "ldap", "userID": "7", "locked": True}),
            "NAME USER CONNECTOR LOCKED NOT-BEFORE AGE",
            "NAME USER CONNECTOR LOCKED NOT-BEFORE AGE",
        ),
    ],
)
def test_columns(
    definitions: Definitions, short: str, item: dict[str, Any], header: str, wide: str
) -> None:
    definitions.create(item)
    assert definitions.kubectl("get", short).splitlines()[0].split() == header.split()
    assert definitions.kubectl("get", short, "-o", "wide").splitlines()[0].split() == wide.split()


def test_the_servers_answer_is_shown_in_the_list(definitions: Definitions) -> None:
    shop = written("OIDCClient", "shop", {"clientID": "shop"})
    definitions.create(shop)
    assert definitions.answer_status(shop, {"conditions": [READY]}) == []
    row = definitions.kubectl("get", "oc", "shop", "-o", "wide").splitlines()[1]
    assert row.split()[:5] == ["shop", "False", "shop", "false", "SecretNotFound"]
    assert definitions.kubectl("wait", "--for=condition=Ready=False", "oc/shop")
    by_id = ("get", "oc", "--field-selector", "spec.clientID=shop", "-o", "name")
    assert definitions.kubectl(*by_id) == "oidcclient.kube-idp.dev/shop\n"
    (cause,) = definitions.answer_status(shop, {"conditions": [READY, READY]})
    assert cause.field == "status.conditions[1]"
    nobody = {**READY, "status": "Perhaps"}
    assert definitions.answer_status(shop, {"conditions": [nobody]})


READY = {
    "type": "Ready",
    "status": "False",
    "reason": "SecretNotFound",
    "message": "",
    "lastTransitionTime": "2026-01-02T03:04:05Z",
    "observedGeneration": 1,
}


def test_a_connector_is_told_by_its_host_and_its_reach(definitions: Definitions) -> None:
    several = {
        "userSearch": CORP["ldap"]["userSearch"],
        "hosts": ["a.example.com", "b.example.com"],
    }
    for name, spec in (("one", CORP), ("several", {**CORP, "ldap": several})):
        definitions.create(written("IdentityConnector", name, spec))
    one = written("IdentityConnector", "one", CORP)
    reachable = {**READY, "type": "Reachable", "status": "True", "reason": "Answers"}
    assert definitions.answer_status(one, {"conditions": [READY, reachable]}) == []
    lines = definitions.kubectl("get", "idc", "-o", "wide").splitlines()
    rows = {line.split()[0]: line.split() for line in lines}
    assert rows["one"][:5] == ["one", "False", "ldap", "ldap.example.com", "True"]
    assert rows["one"][6] == "SecretNotFound"
    assert rows["several"][2] == '["a.example.com","b.example.com"]'
    assert definitions.kubectl("wait", "--for=condition=Reachable", "idc/one")
    by_type = ("get", "idc", "--field-selector", "spec.type=ldap,spec.id=corp", "-o", "name")
    assert definitions.kubectl(*by_type) == ""


def test_only_what_people_write_is_in_their_lists(definitions: Definitions) -> None:
    definitions.create(JANE)
    definitions.create(written("OIDCClient", "shop", {"clientID": "shop"}))
    jane = {"email": "jane@example.com", "passwordHash": HASH}
    definitions.create(written("LocalUser", "jane", jane))
    definitions.create(written("IdentityConnector", "corp", CORP))
    listed = definitions.kubectl("get", "idp", "-o", "name").splitlines()
    assert "oidcclient.kube-idp.dev/shop" in listed
    assert "localuser.kube-idp.dev/jane" in listed
    assert "identityconnector.kube-idp.dev/corp" in listed
    assert not [name for name in listed if ".state." in name]
    assert "idp.dev" not in definitions.kubectl("get", "all", "-o", "name")


@pytest.mark.parametrize("other", ["the definition before", "the definition after"])
def test_a_definition_of_another_version_loses_no_login(
    definitions: Definitions, other: str
) -> None:
    """A field that the schema does not know is dropped, even by who only reads and writes back."""
    theirs, item = definition(GRANTS), deepcopy(JANE)
    if other == "the definition before":
        del spec_schema(theirs)["properties"]["lastUsed"]
    else:
        spec_schema(theirs)["properties"]["device"] = {"type": "string", "description": "New."}
        item["spec"]["device"] = "telephone"
    definitions.apply(theirs)
    definitions.create(item)
    for current in (definition(GRANTS), theirs):
        write_back(definitions, item)
        definitions.apply(current)
        write_back(definitions, item)
    changeless = {name: JANE["spec"][name] for name in ("user", "clientID", "connector", "expires")}
    kept = definitions.read(item)["spec"]
    assert kept["sealed"] == SEALED
    assert changeless.items() <= kept.items()


def test_columns_that_the_definition_does_not_know_yet_are_no_error(
    definitions: Definitions,
) -> None:
    before = definition("signingkeyrings.state.kube-idp.dev")
    for column in ("next", "rotates", "keys", "lastRotation"):
        del spec_schema(before)["properties"][column]
    definitions.apply(before)
    columns = {"signing": "k1", "next": "k2", "keys": "k1 RS256", "lastRotation": "routine"}
    ring = written("SigningKeyRing", "signing-keys", {"sealed": SEALED, **columns})
    definitions.create(ring)
    assert definitions.read(ring)["spec"] == {"sealed": SEALED, "signing": "k1"}


def test_old_objects_survive_a_stricter_rule(definitions: Definitions) -> None:
    lax = definition(CLIENTS)
    uris = spec_schema(lax)["properties"]["redirectURIs"]
    del uris["items"]["x-kubernetes-validations"]
    definitions.apply(lax)
    bad = ["https://*.example.com/cb", "https://shop.example.com/cb"]
    shop = written("OIDCClient", "old-shop", {"clientID": "old-shop", "redirectURIs": bad})
    definitions.create(shop)
    definitions.apply(definition(CLIENTS))
    assert definitions.change(shop, {"name": "Shop"}) == []
    assert definitions.answer_status(shop, {"conditions": [READY]}) == []
    worse = [*bad, "https://shop.example.com/#"]
    assert [cause.field for cause in definitions.change(shop, {"redirectURIs": worse})] == [
        "spec.redirectURIs[0]",
        "spec.redirectURIs[2]",
    ]


def definition_text(name: str) -> str:
    (text,) = (manifest.text for manifest in crds.manifests() if manifest.name == name)
    return text


def versions(definitions: Definitions) -> str:
    return definitions.kubectl(
        "get", "crd", *NAMES, "-o", "custom-columns=N:.metadata.name,V:.metadata.resourceVersion"
    )


def write_back(definitions: Definitions, item: dict[str, Any]) -> None:
    read = definitions.read(item)
    assert read["spec"]["sealed"] == SEALED
    read["spec"]["ended"] = "true" if read["spec"].get("ended") == "" else ""
    definitions.replace(read)


def account(
    definitions: Definitions, directory: Path, name: str, *, verbs: list[str], lists: bool
) -> Path:
    """Make somebody who may do something with our definitions, and perhaps list our objects."""
    rules = [
        {
            "apiGroups": ["apiextensions.k8s.io"],
            "resources": ["customresourcedefinitions"],
            "resourceNames": NAMES,
            "verbs": verbs,
        }
    ]
    if lists:
        groups = ["kube-idp.dev", "state.kube-idp.dev"]
        rules.append({"apiGroups": groups, "resources": ["*"], "verbs": ["list"]})
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": rules}
    definitions.kubectl("apply", "-f", "-", stdin=json.dumps({**role, "metadata": {"name": name}}))
    who = f"--serviceaccount=default:{name}"
    definitions.kubectl("create", "serviceaccount", name)
    definitions.kubectl("create", "clusterrolebinding", name, f"--clusterrole={name}", who)
    wait_for_rules(definitions.kube, namespace="default", account=name, rules=rules)
    token = definitions.kubectl("create", "token", name).strip()
    return definitions.kube.write_kubeconfig(directory / name, user=bearer_user(token))
