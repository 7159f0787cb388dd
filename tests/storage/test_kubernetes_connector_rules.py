"""What `kubectl apply` refuses of an IdentityConnector, and that the server refuses no less.

Where both refuse, the sentence is the same: whoever reads it need not know who wrote it.
"""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from idp.objects.connectors import connector_needs, judge_connector
from tests.kit.objects import written as written_object
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.storage.definitions import Cause, Definitions, written

pytestmark = pytest.mark.servers

SEARCH: dict[str, Any] = {"baseDN": "ou=people,dc=example,dc=com", "username": ["uid"]}
GROUPS: dict[str, Any] = {
    "baseDN": "ou=groups,dc=example,dc=com",
    "nameAttr": "cn",
    "userMatchers": [{"userAttr": "DN", "groupAttr": "member"}],
}


@pytest.fixture(scope="module")
def definitions(kube: KubeApiServer, crds: None) -> Definitions:
    kube.kubectl("create", "namespace", "connector-rules").check()
    return Definitions(kube, "connector-rules")


def ldap(**changes: Any) -> dict[str, Any]:
    fields = {"host": "ldap.example.com", "userSearch": SEARCH, **changes}
    return connector(ldap={key: value for key, value in fields.items() if value is not None})


def connector(**spec: Any) -> dict[str, Any]:
    return written("IdentityConnector", "corp", {"type": "ldap", **spec})


def search(**changes: Any) -> dict[str, Any]:
    return ldap(userSearch={**SEARCH, **changes})


def groups(**changes: Any) -> dict[str, Any]:
    return ldap(groupSearch={**GROUPS, **changes})


def our_refusals(item: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the server itself would say of the same object."""
    object_ = written_object("identity-connectors", "corp", item["spec"])
    return judge_connector(object_, (None,) * len(connector_needs(object_))).problems


@pytest.mark.parametrize(
    "good",
    [
        ldap(),
        connector(id="company", name="Company", ldap=ldap()["spec"]["ldap"]),
        connector(id="", name="", ldap=ldap()["spec"]["ldap"]),
        connector(id="A-z_0.9~", ldap=ldap()["spec"]["ldap"]),
        ldap(host="ldap.example.com:3269"),
        ldap(host="[2001:db8::7]:636"),
        ldap(host="10.0.0.7"),
        ldap(host="LDAP_1.example.com."),
        ldap(host="a:65535"),
        ldap(host="", hosts=["a", "b:1636", "[::1]"]),
        ldap(startTLS=True, insecureSkipVerify=True),
        ldap(insecureNoSSL=True),
        search(filter="(&(objectClass=person)(!(a=b)))", scope="one"),
        search(filter="\n  (& (a=b)\n (c=d) )"),
        search(filter=""),
        search(username=["uid", "mail", "sAMAccountName", "2.5.4.3", "cn;lang-de"]),
        search(idAttr="DN", emailAttr="userPrincipalName", nameAttr="cn"),
        search(nameAttr="", preferredUsernameAttr="", emailSuffix=""),
        search(nameAttr="cn", emailSuffix="example.com"),
        search(claims={"department": "ou", "address.locality": "l", "https://a.b/c": "DN"}),
        search(baseDN="OU = people , dc=x"),
        search(baseDN="<GUID=1>"),
        groups(),
        groups(userMatchers=[
            {"userAttr": "uid", "groupAttr": "memberUid"},
            {"userAttr": "DN", "groupAttr": "member", "recursionGroupAttr": "member"},
        ]),
    ],
    ids=lambda item: json.dumps(item["spec"])[:80],
)  # fmt: skip
def test_good_connectors_are_taken_by_both(
    definitions: Definitions, good: Mapping[str, Any]
) -> None:
    assert definitions.judge(good) == []
    assert our_refusals(good) == ()


def test_secrets_are_referred_to(definitions: Definitions) -> None:
    for references in (
        {"bindDN": "cn=a", "bindPWRef": {"name": "account"}},
        {"bindDN": "cn=a", "bindPWRef": {"name": "account", "key": "password"}},
        {"rootCARef": {"name": "ca"}, "clientCertRef": {"name": "ours.tls-1"}},
    ):
        assert definitions.judge(ldap(**references)) == []


@pytest.mark.parametrize(
    ("bad", "field", "message"),
    [
        (connector(), "spec.ldap",
         "is required with the type `ldap`: where the directory is, and how people are found"),
        (connector(ldap={"host": "a"}), "spec.ldap.userSearch", "Required value"),
        (connector(id="a/b", ldap=ldap()["spec"]["ldap"]), "spec.id",
         "`a/b` stands in URLs; use letters, digits and `-._~`, at most 128 of them"),
        (connector(id="..", ldap=ldap()["spec"]["ldap"]), "spec.id", None),
        (connector(id="local", ldap=ldap()["spec"]["ldap"]), "spec.id",
         "is the id of the connector of local users; choose another"),
        (connector(name=" Corp", ldap=ldap()["spec"]["ldap"]), "spec.name",
         "begins or ends with a space or a line break; remove it"),
        (connector(type="oidc", ldap=ldap()["spec"]["ldap"]), "spec.type", None),
        (ldap(host=None), "spec.ldap.host",
         "is required: where the directory answers, such as `ldap.example.com:636`"),
        (ldap(host="ldaps://a"), "spec.ldap.host",
         "`ldaps://a` is a URL; write host and port only, such as `ldap.example.com:636`"),
        (ldap(host="2001:db8::7"), "spec.ldap.host",
         "`2001:db8::7` has an IPv6 address without brackets; write [::1]"),
        (ldap(host="a b"), "spec.ldap.host", "`a b` has no valid host name"),
        (ldap(host="a:0"), "spec.ldap.host", None),
        (ldap(host="a:65536"), "spec.ldap.host", None),
        (ldap(host=None, hosts=["a", "ldap://b"]), "spec.ldap.hosts[1]",
         "`ldap://b` is a URL; write host and port only, such as `ldap.example.com:636`"),
        (ldap(hosts=["b"]), "spec.ldap.hosts",
         "is given beside `host`; put all servers into one of the two"),
        (ldap(insecureNoSSL=True, startTLS=True), "spec.ldap.insecureNoSSL",
         "contradicts `startTLS`: remove it, so that passwords are protected (Dex would send them"
         " in the clear)"),
        (ldap(bindDN="cn=a"), "spec.ldap.bindPWRef",
         "is required with `bindDN`: a directory takes a name without a password for nobody"),
        (ldap(bindPWRef={"name": "a"}), "spec.ldap.bindPWRef",
         "has no effect without `bindDN`, the account that it is of"),
        (ldap(bindDN="a", bindPWRef={"name": "A"}), "spec.ldap.bindPWRef.name", None),
        (ldap(bindDN="a", bindPWRef={"name": "a", "key": "b c"}), "spec.ldap.bindPWRef.key", None),
        (search(baseDN="people"), "spec.ldap.userSearch.baseDN",
         "`people` is not the name of an entry (a DN); write for example"
         " `ou=people,dc=example,dc=com`"),
        (search(filter="a=b"), "spec.ldap.userSearch.filter",
         "is no LDAP filter; write it in parentheses, such as `(objectClass=person)`"),
        (search(filter="(&(a=b)"), "spec.ldap.userSearch.filter", None),
        (search(scope="base"), "spec.ldap.userSearch.scope", None),
        (search(username=[]), "spec.ldap.userSearch.username", None),
        (search(username=["uid", "uid"]), "spec.ldap.userSearch.username[1]", None),
        (search(username=["DN"]), "spec.ldap.userSearch.username[0]",
         "is no attribute that a directory can search for; name one that it stores"),
        (search(idAttr="dn"), "spec.ldap.userSearch.idAttr",
         "`dn` is no attribute; the entry's own name is written `DN`, in capitals"),
        (search(emailAttr="ma il"), "spec.ldap.userSearch.emailAttr",
         "cannot be the name of an attribute; names are made of letters, digits and `-`, such as"
         " `uid` or `sAMAccountName`"),
        (search(emailSuffix="example.com"), "spec.ldap.userSearch.emailSuffix",
         "needs `nameAttr`: the address is made of the name that it gives"),
        (search(nameAttr="cn", emailSuffix="@a"), "spec.ldap.userSearch.emailSuffix",
         "is put behind an `@`; write it without one"),
        (search(claims={"sub": "uid"}), "spec.ldap.userSearch.claims", None),
        (search(claims={"groups": "memberOf"}), "spec.ldap.userSearch.claims", None),
        (search(claims={"Groups": "memberOf"}), "spec.ldap.userSearch.claims", None),
        (search(claims={"ISS": "a"}), "spec.ldap.userSearch.claims", None),
        (search(claims={"address": "l"}), "spec.ldap.userSearch.claims", None),
        (search(claims={"address.town": "l"}), "spec.ldap.userSearch.claims", None),
        (search(claims={"a b": "l"}), "spec.ldap.userSearch.claims", None),
        (search(claims={"a": "b c"}), "spec.ldap.userSearch.claims[a]", None),
        (groups(nameAttr=""), "spec.ldap.groupSearch.nameAttr", None),
        (groups(userMatchers=[]), "spec.ldap.groupSearch.userMatchers", None),
        (groups(userMatchers=[{"userAttr": "DN", "groupAttr": "DN"}]),
         "spec.ldap.groupSearch.userMatchers[0].groupAttr", None),
        (groups(userMatchers=[{"userAttr": "DN"}]),
         "spec.ldap.groupSearch.userMatchers[0].groupAttr", "Required value"),
    ],
    ids=lambda value: json.dumps(value["spec"])[:80] if isinstance(value, dict) else "",
)  # fmt: skip
def test_bad_connectors_are_refused_with_the_field_and_the_reason(
    definitions: Definitions, bad: Mapping[str, Any], field: str, message: str | None
) -> None:
    (cause,) = definitions.judge(bad)
    assert cause.field == field
    assert message in (None, cause.message)
    # A Secret that cannot be is to the server one that is not there, and twice the same is once.
    ours = our_refusals(bad)
    assert ours or "Ref" in field or "username[1]" in field
    if message is not None and not message.endswith("value") and "ldap" in bad["spec"]:
        assert any(message in sentence for sentence in ours), ours


FIXED = Cause(
    "spec.id",
    "cannot be changed, applications know people by it; delete the object and create another",
)


@pytest.mark.parametrize(
    ("spec_id", "change", "causes"),
    [
        ("", {"id": "other"}, [FIXED]),
        ("company", {"id": "other"}, [FIXED]),
        ("company", {"id": None}, [FIXED]),
        ("company", {"id": ""}, [FIXED]),
        ("", {"id": "corp"}, []),
        ("corp", {"id": None}, []),
        ("company", {"name": "New name"}, []),
    ],
)
def test_what_is_part_of_sub_cannot_be_changed_nor_unset(
    definitions: Definitions, spec_id: str, change: dict[str, Any], causes: list[Cause]
) -> None:
    item = connector(id=spec_id, ldap=ldap()["spec"]["ldap"])
    definitions.create(item)
    assert definitions.change(item, change) == causes


def test_an_object_whose_name_can_be_no_id_needs_one(definitions: Definitions) -> None:
    spec = ldap()["spec"]
    (cause,) = definitions.judge_named(written("IdentityConnector", "local", spec))
    assert cause.field == "spec.id"
    assert "or the id of the connector of local users" in cause.message
    with_id = written("IdentityConnector", "local", {**spec, "id": "corp"})
    assert definitions.judge_named(with_id) == []
    (cause,) = definitions.judge_named(written("IdentityConnector", "a" * 129, spec))
    assert cause.field == "spec.id"


def test_defaults_are_filled_in(definitions: Definitions) -> None:
    item = ldap(bindDN="cn=a", bindPWRef={"name": "s"}, rootCARef={"name": "ca"},
                groupSearch=GROUPS)  # fmt: skip
    definitions.create(item)
    assert definitions.read(item)["spec"] == {
        "type": "ldap",
        "ldap": {
            "host": "ldap.example.com",
            "insecureNoSSL": False,
            "startTLS": False,
            "insecureSkipVerify": False,
            "usernamePrompt": "Username",
            "bindDN": "cn=a",
            "bindPWRef": {"name": "s", "key": "bindPW"},
            "rootCARef": {"name": "ca", "key": "ca.crt"},
            "userSearch": {**SEARCH, "scope": "sub", "idAttr": "uid", "emailAttr": "mail"},
            "groupSearch": {**GROUPS, "scope": "sub"},
        },
    }


def test_a_password_in_the_object_is_not_kept(definitions: Definitions) -> None:
    """kubectl refuses the field; whoever asks the API server without asking for that loses it."""
    item = ldap(bindDN="cn=a", bindPWRef={"name": "s"}, bindPW="hunter2")
    said = definitions.refused("apply", "-f", "-", stdin=json.dumps(item))
    assert 'unknown field "spec.ldap.bindPW"' in said.stderr
    definitions.create(item)
    assert "hunter2" not in json.dumps(definitions.read(item)["spec"])


def test_the_most_that_the_limits_allow_is_within_the_cost_budget(
    definitions: Definitions,
) -> None:
    wide = ldap(
        host=None,
        hosts=[f"h{i}.".ljust(250, "a") for i in range(16)],
        userSearch={
            **SEARCH,
            "filter": "(&" + "(a=b)" * 800 + ")",
            "username": [f"a{i}".ljust(250, "b") for i in range(8)],
            "claims": {f"c{i}".ljust(100, "d"): "e" * 250 for i in range(64)},
        },
        groupSearch={
            **GROUPS,
            "filter": "(|" + "(a=b)" * 800 + ")",
            "userMatchers": [
                {
                    "userAttr": f"u{i}".ljust(250, "u"),
                    "groupAttr": "g" * 250,
                    "recursionGroupAttr": "r" * 250,
                }
                for i in range(16)
            ],
        },
    )
    assert definitions.judge(wide) == []
