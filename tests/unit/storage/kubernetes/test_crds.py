"""The definitions as files, and how they are applied to an API server that does as it is told."""

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from idp.oauth.claim_names import ADDRESS_MEMBERS, OF_IDENTITY, OURS
from storage.base import Document, NotFound, StorageError
from storage.kinds import GRANTS, KEY_RINGS, REGISTERED_CLIENTS
from storage.kubernetes import crds
from storage.kubernetes.errors import Forbidden, Unavailable
from storage.kubernetes.resources import STATE, VERSION, Resource
from storage.kubernetes.wire import JSON, Body
from tests.storage.harness import grant, registered_client, ring

Schema = Mapping[str, Any]

STATE_GROUP = "state.kube-idp.dev"
NAMES = [manifest.name for manifest in crds.manifests()]
LOADED: Mapping[str, Mapping[str, Any]] = {
    manifest.name: yaml.safe_load(manifest.text) for manifest in crds.manifests()
}
SEALED_KINDS = [
    "refreshgrants.state.kube-idp.dev",
    "registeredclients.state.kube-idp.dev",
    "signingkeyrings.state.kube-idp.dev",
]


def schema_of(name: str) -> Schema:
    (version,) = LOADED[name]["spec"]["versions"]
    schema: Schema = version["schema"]["openAPIV3Schema"]
    return schema


def fields_of(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Yield the schema of every field with its path, `[]` for what is in a list, `{}` in a map."""
    yield path, schema
    for name, below in schema.get("properties", {}).items():
        yield from fields_of(below, f"{path}.{name}")
    if "items" in schema:
        yield from fields_of(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from fields_of(schema["additionalProperties"], f"{path}.*")


ALL_FIELDS = [
    pytest.param(schema, id=f"{name.partition('.')[0]}{path}")
    for name in NAMES
    for path, schema in fields_of(schema_of(name))
]


_CLAIMS = {
    "localusers.kube-idp.dev": ("claims",),
    "identityconnectors.kube-idp.dev": ("ldap", "userSearch", "claims"),
}
"""Where people write names of claims."""


@pytest.mark.parametrize("name", _CLAIMS)
def test_the_rule_on_claims_names_all_that_nobody_may_say(name: str) -> None:
    """One table in the server, and the same names where `kubectl apply` is judged."""
    rules = schema_of(name)["properties"]["spec"]
    for step in _CLAIMS[name]:
        rules = rules["properties"][step]
    text = " ".join(each["rule"] for each in rules["x-kubernetes-validations"])
    named = set(re.findall(r"'([a-z_.]+)'", text))
    members = {f"address.{member}" for member in ADDRESS_MEMBERS}
    assert named == OURS | OF_IDENTITY | members | {"address."}


def test_there_is_one_file_for_each_kind_named_as_its_definition_is() -> None:
    assert NAMES == [
        "identityconnectors.kube-idp.dev",
        "localusers.kube-idp.dev",
        "oidcclients.kube-idp.dev",
        "refreshgrants.state.kube-idp.dev",
        "registeredclients.state.kube-idp.dev",
        "signingkeyrings.state.kube-idp.dev",
        "usedassertions.state.kube-idp.dev",
        "userstates.state.kube-idp.dev",
    ]
    for name, loaded in LOADED.items():
        names, group = loaded["spec"]["names"], loaded["spec"]["group"]
        assert loaded["metadata"]["name"] == name == f"{names['plural']}.{group}"
        assert names["singular"] == names["kind"].lower()
        assert names["plural"] == names["singular"] + "s"
        assert names["listKind"] == names["kind"] + "List"
        assert loaded["spec"]["scope"] == "Namespaced"


def test_the_text_is_all_files_with_their_comments() -> None:
    assert list(yaml.safe_load_all(crds.text())) == list(LOADED.values())
    assert all(manifest.text in crds.text() for manifest in crds.manifests())
    assert all(manifest.text.startswith("# ") for manifest in crds.manifests())
    assert all(manifest.text.endswith("\n") for manifest in crds.manifests())


def test_every_kind_is_served_in_the_version_that_the_server_asks_for() -> None:
    for manifest in crds.manifests():
        (version,) = LOADED[manifest.name]["spec"]["versions"]
        assert version["name"] == VERSION
        assert version["served"] is True
        assert version["storage"] is True
    paths = [manifest.path("idp") for manifest in crds.manifests()]
    assert paths[0] == "/apis/kube-idp.dev/v1beta1/namespaces/idp/identityconnectors"
    assert paths[3] == "/apis/state.kube-idp.dev/v1beta1/namespaces/idp/refreshgrants"


@pytest.mark.parametrize("schema", ALL_FIELDS)
def test_every_field_says_what_it_is_and_how_much_it_takes(schema: Schema) -> None:
    description = schema["description"]
    assert description[0].isupper() or description.startswith('"')
    assert description.endswith(".")
    assert "  " not in description
    assert "x-kubernetes-preserve-unknown-fields" not in schema
    match schema["type"]:
        case "string":
            assert "maxLength" in schema or "enum" in schema
        case "array":
            assert "maxItems" in schema
            assert schema["x-kubernetes-list-type"] in {"set", "map", "atomic"}
        case "object" if "additionalProperties" in schema:
            assert "maxProperties" in schema
        case "object":
            assert schema.get("properties") or "maxProperties" in schema


@pytest.mark.parametrize("schema", ALL_FIELDS)
def test_every_rule_says_what_is_wrong(schema: Schema) -> None:
    for rule in schema.get("x-kubernetes-validations", ()):
        assert ("message" in rule) != ("messageExpression" in rule)
        said = rule.get("message", rule.get("messageExpression"))
        assert "\n" not in said
        assert "\n" not in rule["rule"]


def test_only_what_people_write_has_a_status_and_a_category() -> None:
    for loaded in LOADED.values():
        (version,) = loaded["spec"]["versions"]
        of_state = loaded["spec"]["group"] == STATE_GROUP
        assert version.get("subresources") == (None if of_state else {"status": {}})
        assert loaded["spec"]["names"].get("categories") == (None if of_state else ["idp"])


def test_short_names_are_one_each() -> None:
    short = [name for loaded in LOADED.values() for name in loaded["spec"]["names"]["shortNames"]]
    assert short == ["idc", "lu", "oc", "rg", "regc", "skr", "ua", "ust"]


@pytest.mark.parametrize("name", SEALED_KINDS)
def test_nothing_but_the_sealed_part_can_make_a_state_object_wrong(name: str) -> None:
    spec = schema_of(name)["properties"]["spec"]
    assert spec["required"] == ["sealed"]
    assert spec["properties"]["sealed"]["maxLength"] >= 1024 * 1024
    for _, schema in fields_of(spec):
        assert schema["type"] in {"object", "string"}
        for strict in ("enum", "pattern", "format", "minLength", "x-kubernetes-validations"):
            assert strict not in schema
        assert schema.get("maxLength", 256) >= 256


@pytest.mark.parametrize("name", [name for name in NAMES if ".state." not in name])
def test_conditions_have_the_standard_shape(name: str) -> None:
    conditions = schema_of(name)["properties"]["status"]["properties"]["conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    condition = conditions["items"]
    required = ["type", "status", "lastTransitionTime", "reason", "message"]
    assert condition["required"] == required
    assert set(condition["properties"]) == {*required, "observedGeneration"}
    assert condition["properties"]["status"]["enum"] == ["True", "False", "Unknown"]


@pytest.mark.parametrize(
    ("resource", "columns"),
    [
        (STATE[GRANTS.name], GRANTS.columns(grant())),
        (STATE[KEY_RINGS.name], KEY_RINGS.columns(ring())),
        (
            STATE[REGISTERED_CLIENTS.name],
            REGISTERED_CLIENTS.columns(registered_client()),
        ),
    ],
    ids=lambda value: value.plural if isinstance(value, Resource) else "",
)
def test_what_the_server_writes_is_what_the_schema_keeps(
    resource: Resource, columns: Mapping[str, str]
) -> None:
    name = f"{resource.plural}.{resource.group}"
    fields = schema_of(name)["properties"]["spec"]["properties"]
    long = Document(name="x", columns=dict.fromkeys(columns, "x" * 10**6), sealed="s")
    spec = resource.object("idp", long)["spec"]
    assert set(spec) == set(fields)
    for column, value in spec.items():
        assert len(value) <= fields[column]["maxLength"]
    (version,) = LOADED[name]["spec"]["versions"]
    assert {path["jsonPath"] for path in version.get("selectableFields", ())} == {
        f".spec.{resource.fields.get(column, column)}" for column in resource.selectable
    }
    assert LOADED[name]["spec"]["names"]["kind"] == resource.kind


def test_no_secret_is_in_a_column() -> None:
    for loaded in LOADED.values():
        (version,) = loaded["spec"]["versions"]
        for column in version["additionalPrinterColumns"]:
            assert column["description"].endswith(".")
            assert "sealed" not in column["jsonPath"]
            assert "Hash" not in column["jsonPath"]
            assert "PW" not in column["jsonPath"]
            # A date to come is shown as <invalid>.
            assert (column["type"] == "date") == (column["name"] in ("Age", "Since"))


FIELDS = {
    "identityconnectors.kube-idp.dev": (
        1,
        "spec.id spec.ldap spec.ldap.bindDN spec.ldap.bindPWRef spec.ldap.bindPWRef.key"
        " spec.ldap.bindPWRef.name spec.ldap.clientCertRef spec.ldap.clientCertRef.name"
        " spec.ldap.groupSearch spec.ldap.groupSearch.baseDN spec.ldap.groupSearch.filter"
        " spec.ldap.groupSearch.nameAttr spec.ldap.groupSearch.scope"
        " spec.ldap.groupSearch.userMatchers spec.ldap.groupSearch.userMatchers[]"
        " spec.ldap.groupSearch.userMatchers[].groupAttr"
        " spec.ldap.groupSearch.userMatchers[].recursionGroupAttr"
        " spec.ldap.groupSearch.userMatchers[].userAttr spec.ldap.host spec.ldap.hosts"
        " spec.ldap.hosts[] spec.ldap.insecureNoSSL spec.ldap.insecureSkipVerify"
        " spec.ldap.rootCAData spec.ldap.rootCARef spec.ldap.rootCARef.key"
        " spec.ldap.rootCARef.name spec.ldap.startTLS spec.ldap.userSearch"
        " spec.ldap.userSearch.baseDN spec.ldap.userSearch.claims spec.ldap.userSearch.claims.*"
        " spec.ldap.userSearch.emailAttr spec.ldap.userSearch.emailSuffix"
        " spec.ldap.userSearch.filter spec.ldap.userSearch.idAttr spec.ldap.userSearch.nameAttr"
        " spec.ldap.userSearch.preferredUsernameAttr spec.ldap.userSearch.scope"
        " spec.ldap.userSearch.username spec.ldap.userSearch.username[] spec.ldap.usernamePrompt"
        " spec.name spec.type",
    ),
    "localusers.kube-idp.dev": (
        2,
        "spec.claims spec.claims.* spec.claims.*[]"
        " spec.email spec.emailVerified spec.groups spec.groups[] spec.locked spec.name"
        " spec.passwordHash spec.passwordHashRef spec.passwordHashRef.key spec.passwordHashRef.name"
        " spec.preferredUsername spec.userID spec.username",
    ),
    "oidcclients.kube-idp.dev": (
        4,
        "spec.allowedAudiences spec.allowedAudiences[] spec.allowedConnectors"
        " spec.allowedConnectors[] spec.allowedScopes spec.allowedScopes[]"
        " spec.backchannelLogoutSessionRequired spec.backchannelLogoutURI"
        " spec.clientCredentialsClaims spec.clientCredentialsClaims.groups"
        " spec.clientCredentialsClaims.groups[] spec.clientID spec.disabled spec.expiry"
        " spec.expiry.accessTokens spec.expiry.idTokens spec.expiry.refreshTokens"
        " spec.expiry.refreshTokens.absoluteLifetime spec.expiry.refreshTokens.validIfNotUsedFor"
        " spec.frontchannelLogoutSessionRequired spec.frontchannelLogoutURI spec.grantTypes"
        " spec.grantTypes[] spec.groupsFilter spec.groupsFilter[] spec.groupsPrefix"
        " spec.idTokenClaims spec.idTokenSignedResponseAlg spec.initiateLoginURI spec.jwks"
        " spec.jwks.keys spec.jwks.keys[] spec.jwks.keys[].alg spec.jwks.keys[].crv"
        " spec.jwks.keys[].d spec.jwks.keys[].e spec.jwks.keys[].k spec.jwks.keys[].key_ops"
        " spec.jwks.keys[].key_ops[] spec.jwks.keys[].kid spec.jwks.keys[].kty spec.jwks.keys[].n"
        " spec.jwks.keys[].use spec.jwks.keys[].x spec.jwks.keys[].y spec.jwksURI spec.logoURL"
        " spec.name spec.offlineAccess spec.pkce spec.policyURI spec.postLogoutRedirectURIs"
        " spec.postLogoutRedirectURIs[] spec.public spec.redirectURIs spec.redirectURIs[]"
        " spec.refreshTokenLifetime spec.requestObjectSigningAlg spec.requestURIs"
        " spec.requestURIs[] spec.secretRef spec.secretRef.key spec.secretRef.name"
        " spec.secretRef.previousKey spec.skipApprovalScreen spec.ssoSharedWith"
        " spec.ssoSharedWith[] spec.tokenEndpointAuthMethod spec.tosURI spec.trustedPeers"
        " spec.trustedPeers[] spec.userinfoSignedResponseAlg",
    ),
    "refreshgrants.state.kube-idp.dev": (
        1,
        "spec.clientID spec.connector spec.ended spec.expires spec.lastUsed spec.sealed spec.user",
    ),
    "registeredclients.state.kube-idp.dev": (
        1,
        "spec.authMethod spec.clientName spec.redirectURIs spec.sealed",
    ),
    "signingkeyrings.state.kube-idp.dev": (
        1,
        "spec.keys spec.lastRotation spec.next spec.rotates spec.sealed spec.signing",
    ),
    "usedassertions.state.kube-idp.dev": (1, "spec.clientID spec.expires spec.sealed"),
    "userstates.state.kube-idp.dev": (
        1,
        "spec.connector spec.locked spec.notBefore spec.sealed spec.user spec.userID",
    ),
}
"""The revision of each definition and the fields that it has. A field is never taken away."""


@pytest.mark.parametrize("manifest", crds.manifests(), ids=lambda manifest: manifest.name)
def test_a_new_field_raises_the_revision(manifest: crds.Manifest) -> None:
    revision, fields = FIELDS[manifest.name]
    spec = schema_of(manifest.name)["properties"]["spec"]
    assert sorted(path for path, _ in fields_of(spec, "spec") if path != "spec") == fields.split()
    assert manifest.revision == revision
    annotations = LOADED[manifest.name]["metadata"]["annotations"]
    assert annotations[crds.REVISION] == str(revision)


def test_a_file_without_a_revision_is_named() -> None:
    with pytest.raises(ValueError, match=r"things\.example\.yaml has no annotation"):
        _ = crds.Manifest("things.example", "kind: Thing").revision


@dataclass(slots=True)
class ObedientServer:
    """Serves what has been applied, unless told to fail. `answers` come first, by path."""

    namespace: str = "idp"
    applied: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    names_refused: Mapping[str, str] = field(default_factory=dict)
    answers: dict[str, list[StorageError]] = field(default_factory=dict)
    patched: list[str] = field(default_factory=list)

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Body | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> dict[str, Any]:
        if self.answers.get(path):
            raise self.answers[path].pop(0)
        place, _, name = path.rpartition("/")
        if not place.endswith("/customresourcedefinitions"):
            assert query == {"limit": "1"}
            return self._scan(path)
        if method == "PATCH":
            assert content_type == "application/apply-patch+yaml"
            assert query == {"fieldManager": "kube-idp", "force": "true"}
            assert isinstance(body, str)
            self.applied[name] = yaml.safe_load(body)
            self.patched.append(name)
        if name not in self.applied:
            raise NotFound(name)
        return {**self.applied[name], "status": {"conditions": self._conditions(name)}}

    def _scan(self, path: str) -> dict[str, Any]:
        served = self.applied.keys() - self.names_refused
        if path not in {crds.Manifest(name, "").path(self.namespace) for name in served}:
            raise Unavailable(f"{path}: not served", status=404)
        return {"items": []}

    def _conditions(self, name: str) -> list[Mapping[str, str]]:
        if name not in self.names_refused:
            return [{"type": "NamesAccepted", "status": "True", "message": "no conflicts found"}]
        return [
            {"type": "NamesAccepted", "status": "False", "message": self.names_refused[name]},
            {"type": "Established", "status": "False", "message": "not all names are accepted"},
        ]


def test_what_is_missing_is_told_in_order() -> None:
    server = ObedientServer(applied={NAMES[1]: LOADED[NAMES[1]]})
    assert asyncio.run(crds.missing(server)) == [NAMES[0], *NAMES[2:]]
    with pytest.raises(crds.CrdsMissing, match=r"identityconnectors\.kube-idp\.dev, oidcclients"):
        asyncio.run(crds.require(server))


@pytest.mark.parametrize(
    "error", [Forbidden("no"), Unavailable("away"), Unavailable("x", status=500)]
)
def test_a_server_that_does_not_answer_is_not_one_that_lacks_definitions(
    error: StorageError,
) -> None:
    path = crds.Manifest(NAMES[3], "").path("idp")
    server = ObedientServer(applied=dict(LOADED), answers={path: [error]})
    with pytest.raises(type(error)) as caught:
        asyncio.run(crds.require(server))
    assert caught.value is error


def test_ensuring_waits_while_a_changed_definition_is_busy() -> None:
    path = crds.Manifest(NAMES[0], "").path("idp")
    busy: list[StorageError] = [Unavailable("busy", status=429), Unavailable("gone", status=404)]
    server = ObedientServer(answers={path: busy})
    asyncio.run(crds.ensure(server))
    assert server.patched == NAMES
    assert busy == []


def test_ensuring_gives_up_on_a_definition_that_is_never_served_and_says_why() -> None:
    name, said = NAMES[1], 'shortNames: "oc" is already in use'
    server = ObedientServer(names_refused={name: said})
    with pytest.raises(crds.CrdsMissing) as caught:
        asyncio.run(crds.ensure(server, within=0.3))
    assert caught.value.names == (name,)
    assert str(caught.value).startswith(
        f"the API server does not serve {name}; {name}: {said}; run `idp crds |"
    )


def test_ensuring_without_the_right_says_which_and_what_else_to_do() -> None:
    first = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{NAMES[0]}"
    server = ObedientServer(answers={first: [Forbidden("patch crds: no")]})
    with pytest.raises(Forbidden, match=r"patch crds: no; `crdHandling: ensure` needs the verbs"):
        asyncio.run(crds.ensure(server))


@pytest.mark.parametrize("revision", ["1", "0", "newest", "", "9" * 30, None])
def test_ensuring_replaces_what_is_not_newer(revision: str | None) -> None:
    assert asyncio.run(_patched_over(revision)) == NAMES


@pytest.mark.parametrize("ahead", [1, 10])
def test_ensuring_leaves_what_is_newer(ahead: int) -> None:
    revision = str(crds.manifests()[1].revision + ahead)
    assert asyncio.run(_patched_over(revision)) == [NAMES[0], *NAMES[2:]]


async def _patched_over(revision: str | None) -> list[str]:
    annotations = None if revision is None else {crds.REVISION: revision}
    server = ObedientServer(applied={NAMES[1]: {"metadata": {"annotations": annotations}}})
    await crds.ensure(server)
    return server.patched
