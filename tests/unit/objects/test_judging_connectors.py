"""From an IdentityConnector to what a connector is told; mistakes say where and what to do."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.ldap.config import GroupSearch, Host, Trust, UserMatcher
from idp.objects.connectors import (
    CONNECTOR_ID,
    connector_claims,
    connector_needs,
    judge_connector,
)
from idp.objects.verdicts import BadSecret, Claim, GoodSecret, SecretReading
from idp.settings.ldap_config import FixedPassword
from tests.kit.objects import written
from tests.kit.servers.certificates import CertificateAuthority

SEARCH: dict[str, Any] = {"baseDN": "ou=people,dc=example,dc=com", "username": "uid"}
LDAP: dict[str, Any] = {"host": "ldap.example.com", "userSearch": SEARCH}
SPEC: dict[str, Any] = {"type": "ldap", "ldap": LDAP}
ALL_SECRETS = {
    "bindDN": "cn=reader",
    "bindPWRef": {"name": "account"},
    "rootCARef": {"name": "ca"},
    "clientCertRef": {"name": "ours"},
}


def connector(spec: Any, *secrets: SecretReading | None, name: str = "corp") -> Any:
    return judge_connector(written("identity-connectors", name, spec), secrets)


def ldap(**changes: Any) -> dict[str, Any]:
    return {"type": "ldap", "ldap": {**LDAP, **changes}}


def test_a_small_one() -> None:
    judged = connector(SPEC)
    assert judged.problems == judged.doubts == ()
    assert (judged.value.id, judged.value.name, judged.value.type) == ("corp", "corp", "ldap")
    assert judged.value.config.hosts == (Host(name="ldap.example.com", port=636),)
    assert judged.value.config.bind_password() == ""


def test_one_with_everything() -> None:
    ca = CertificateAuthority.create().pem
    spec = {
        "id": "company",
        "name": "Company",
        **ldap(
            **ALL_SECRETS,
            usernamePrompt="Short name",
            userSearch={
                **SEARCH, "username": ["uid", "mail"], "scope": "one", "filter": "(a=b)",
                "claims": {"department": "ou"},
            },
            groupSearch={
                "baseDN": "ou=groups,dc=example,dc=com", "nameAttr": "cn",
                "userMatchers": [{"userAttr": "DN", "groupAttr": "member", "soon": 1}],
            },
            somethingOfTomorrow={"a": [1]},
        ),
    }  # fmt: skip
    secrets = (
        GoodSecret(b"hunter2"),
        GoodSecret(ca.encode()),
        GoodSecret(ca.encode()),
        GoodSecret(b"-----BEGIN PRIVATE KEY-----\nx"),
    )
    judged = connector(spec, *secrets)
    assert judged.problems == ()
    config = judged.value.config
    assert (judged.value.id, judged.value.name) == ("company", "Company")
    assert config.bind_password == FixedPassword("hunter2")
    assert config.trust == Trust(
        ca_data=ca, certificate_data=ca, key_data="-----BEGIN PRIVATE KEY-----\nx"
    )
    assert config.user_search.username_attrs == ("uid", "mail")
    assert config.user_search.claims == (("department", "ou"),)
    assert config.group_search == GroupSearch(
        base_dn="ou=groups,dc=example,dc=com",
        name_attr="cn",
        matchers=(UserMatcher(user_attr="DN", group_attr="member"),),
    )
    assert "hunter2" not in repr(judged)


def test_the_secrets_that_it_needs() -> None:
    needs = connector_needs(written("identity-connectors", "corp", ldap(**ALL_SECRETS)))
    assert [(need.name, need.key, need.field) for need in needs] == [
        ("account", "bindPW", "spec.ldap.bindPWRef"),
        ("ca", "ca.crt", "spec.ldap.rootCARef"),
        ("ours", "tls.crt", "spec.ldap.clientCertRef"),
        ("ours", "tls.key", "spec.ldap.clientCertRef"),
    ]
    keyed = ldap(bindDN="cn=a", bindPWRef={"name": "s", "key": "password"})
    (need,) = connector_needs(written("identity-connectors", "corp", keyed))
    assert need.key == "password"
    assert connector_needs(written("identity-connectors", "corp", SPEC)) == ()


def test_it_waits_for_its_secrets() -> None:
    spec = ldap(bindDN="cn=a", bindPWRef={"name": "s"})
    assert connector(spec, None).value is None
    assert connector(spec, None).problems == ()
    assert connector(spec, BadSecret("SecretNotFound", "x")).bad_secret.reason == "SecretNotFound"


@pytest.mark.parametrize(
    ("secrets", "hint"),
    [
        ((b"hunter2\n", b"x", b"x", b"x"), "begins or ends with a space or a line break"),
        ((b"\xff", b"x", b"x", b"x"), "is not text in UTF-8"),
        ((b"hunter2", b"hunter2", b"x", b"x"), "is no certificate; give PEM"),
        ((b"hunter2", b"\xff", b"x", b"x"), "is not text; write it as PEM"),
        ((b"hunter2", None, b"hunter2", b"x"), "is no certificate; give PEM"),
        ((b"hunter2", None, b"-----BEGIN CERTIFICATE-----", b"hunter2"), "is no private key"),
    ],
)
def test_what_stands_in_a_secret_and_is_of_no_use(
    secrets: tuple[bytes | None, ...], hint: str
) -> None:
    ca = CertificateAuthority.create().pem.encode()
    readings = [GoodSecret(secret or ca, f"Entry {i}") for i, secret in enumerate(secrets)]
    judged = connector(ldap(**ALL_SECRETS), *readings)
    assert judged.value is None
    assert judged.bad_secret.reason == "SecretUnusable"
    assert hint in judged.bad_secret.message
    assert "hunter2" not in judged.bad_secret.message


@pytest.mark.covers("K-22")
@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (None, "spec must be an object with fields."),
        ({}, "spec.type is required: the kind of source, which is `ldap`."),
        ({"type": "oidc"}, "spec.type `oidc` is no kind of source that is served; write `ldap`."),
        ({"type": "ldap"}, "spec.ldap.host is required: where the directory answers"),
        ({"type": "ldap"}, "spec.ldap.userSearch is required: where people are"),
        ({"type": "ldap", "ldap": []}, "spec.ldap.host is required"),
        ({"type": "ldap", "ldap": "x"}, "spec.ldap must be a mapping of keys"),
        ({**SPEC, "id": "a/b"}, "spec.id `a/b` stands in URLs; use letters, digits"),
        ({**SPEC, "id": "local"}, "spec.id `local` is the id of the connector of local users"),
        ({**SPEC, "name": 7}, "spec.name must be text"),
        (ldap(host=5), "spec.ldap.host `5` has no valid host name."),
        (ldap(host={}), "spec.ldap.host must be text, but is a mapping of keys."),
        (ldap(host="ldaps://a"), "spec.ldap.host `ldaps://a` is a URL; write host and port only"),
        (ldap(host="a\x00b"), "spec.ldap.host the value contains a control character."),
        (ldap(hosts=["b"]), "spec.ldap.hosts is given beside `host`"),
        (ldap(startTLS="yes"), "spec.ldap.startTLS"),
        (ldap(startTLS=True, insecureNoSSL=True), "spec.ldap.insecureNoSSL contradicts `startTLS`"),
        (ldap(bindDN="cn=a"), "spec.ldap.bindPWRef is required with `bindDN`"),
        (ldap(bindPWRef={"name": "s"}), "spec.ldap.bindPWRef has no effect without `bindDN`"),
        (ldap(bindDN="cn=a", bindPWRef={"key": "s"}), "spec.ldap.bindPWRef.name is required"),
        (ldap(bindDN="cn=a", bindPWRef="s"), "spec.ldap.bindPWRef must be a mapping of keys"),
        (ldap(userSearch={**SEARCH, "filter": "a=b"}), "spec.ldap.userSearch.filter `a=b` is no"),
        (ldap(userSearch={**SEARCH, "claims": {"iss": "a"}}), "spec.ldap.userSearch.claims.iss is"),
        (
            ldap(userSearch={**SEARCH, "claims": {"Groups": "a"}}),
            "spec.ldap.userSearch.claims.Groups is a claim that is filled by `groupSearch`",
        ),
        (
            ldap(userSearch={**SEARCH, "claims": {"address": "l"}}),
            "spec.ldap.userSearch.claims.address is made of its members",
        ),
        (ldap(userSearch={**SEARCH, "claims": {"a": {}}}), "spec.ldap.userSearch.claims.a must be"),
        (
            ldap(userSearch={**SEARCH, "username": ["uid"] * 9}),
            "the value has more than 8 items",
        ),
        (ldap(groupSearch={"baseDN": "dc=x", "nameAttr": "cn"}), "userMatchers is required"),
    ],
)
def test_one_that_is_wrong_is_told_what_to_mend(spec: Any, problem: str) -> None:
    judged = connector(spec)
    assert judged.value is None
    assert any(problem in each for each in judged.problems), judged.problems


@pytest.mark.covers("I-9")
@pytest.mark.parametrize("key", ["bindPWFile", "bindPW", "rootCA", "clientCert", "clientKey"])
def test_an_object_reaches_no_file_of_the_server(key: str) -> None:
    """Whoever may write objects must not send the server's files to a host of theirs."""
    judged = connector(ldap(**{key: "/var/run/secrets/kubernetes.io/serviceaccount/token"}))
    assert judged.value.config == connector(SPEC).value.config
    with_name = ldap(bindDN="cn=a", **{key: "/var/run/secrets/kubernetes.io/serviceaccount/token"})
    assert connector(with_name).value is None


def test_the_name_of_the_object_is_the_id_unless_it_cannot_be_one() -> None:
    assert connector_claims(written("identity-connectors", "corp", {})) == (
        Claim(CONNECTOR_ID, "corp"),
    )
    spec = {"id": "company"}
    assert connector_claims(written("identity-connectors", "corp", spec)) == (
        Claim(CONNECTOR_ID, "company"),
    )
    assert connector_claims(written("identity-connectors", "corp", {"id": "a/b"})) == ()
    (problem,) = connector(SPEC, name="local").problems
    assert problem.startswith("spec.id is required: the name of the object is the id of")
    (problem,) = connector(SPEC, name="a" * 129).problems
    assert problem.startswith("spec.id is required: the name of the object stands in URLs")


def test_what_is_probably_not_meant_is_served_and_told() -> None:
    judged = connector(ldap(host="a:389", userSearch={**SEARCH, "idAttr": "DN"}))
    assert judged.value is not None
    assert [doubt.split(" ")[0] for doubt in judged.doubts] == [
        "spec.ldap.host",
        "spec.ldap.userSearch.idAttr",
    ]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["host", "hosts", "userSearch", "groupSearch", "username", "claims",
                         "bindPWRef", "name", "baseDN", "userMatchers", "x"]),
        inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(_JSON)
def test_whatever_somebody_wrote_is_judged(fields: Any) -> None:
    judged = connector({"type": "ldap", "ldap": fields})
    assert judged.value is not None or judged.problems
