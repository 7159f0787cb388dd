"""The keys of LDAP connectors: Dex's examples unchanged, and a hint for every mistake."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.ldap.config import (
    GroupSearch,
    Host,
    LdapConfig,
    Trust,
    UserMatcher,
    UserSearch,
)
from idp.oauth.claim_names import OF_IDENTITY, OURS, may_be_set
from idp.settings import Problem, Settings
from idp.settings.ldap import LdapFile
from idp.settings.ldap_config import FixedPassword, PasswordFile, config_of_file
from idp.settings.ldap_rules import claim_problem
from tests.kit.servers.certificates import CertificateAuthority

Read = Callable[..., Settings]
Refuse = Callable[..., tuple[Problem, ...]]

OPENLDAP = """\
connectors:
- type: ldap
  name: OpenLDAP
  id: ldap
  config:
    host: localhost:389
    insecureNoSSL: true
    bindDN: cn=admin,dc=example,dc=org
    bindPW: admin
    usernamePrompt: Email Address
    userSearch:
      baseDN: ou=People,dc=example,dc=org
      filter: "(objectClass=person)"
      username: mail
      idAttr: DN
      emailAttr: mail
      nameAttr: cn
    groupSearch:
      baseDN: ou=Groups,dc=example,dc=org
      filter: "(objectClass=groupOfNames)"
      userMatchers:
      - userAttr: DN
        groupAttr: member
      nameAttr: cn
"""

ACTIVE_DIRECTORY = """\
connectors:
- type: ldap
  name: ActiveDirectory
  id: ad
  config:
    host: ad.example.com:636
    insecureNoSSL: false
    insecureSkipVerify: true
    bindDN: cn=Administrator,cn=users,dc=example,dc=com
    bindPW: admin0!
    usernamePrompt: Email Address
    userSearch:
      baseDN: cn=Users,dc=example,dc=com
      filter: "(objectClass=person)"
      username: userPrincipalName
      idAttr: DN
      emailAttr: userPrincipalName
      nameAttr: cn
    groupSearch:
      baseDN: cn=Users,dc=example,dc=com
      filter: "(objectClass=group)"
      userMatchers:
      - userAttr: DN
        groupAttr: member
        recursionGroupAttr: member
      nameAttr: cn
"""

POSIX = """\
connectors:
- type: ldap
  id: posix
  name: Posix
  config:
    host: ldap.example.com
    startTLS: true
    bindDN: uid=reader,ou=system,dc=example,dc=com
    bindPW: secret
    userSearch:
      baseDN: ou=people,dc=example,dc=com
      username: [uid, mail]
      nameAttr: displayName
      preferredUsernameAttr: uid
      scope: one
    groupSearch:
      baseDN: ou=groups,dc=example,dc=com
      filter: "(|(objectClass=posixGroup)(objectClass=groupOfNames))"
      userMatchers:
      - {userAttr: uid, groupAttr: memberUid}
      - {userAttr: DN, groupAttr: member}
      nameAttr: cn
"""

FREEIPA = """\
connectors:
- type: ldap
  id: ipa
  name: FreeIPA
  config:
    host: freeipa.example.com:636
    rootCA: ca.crt
    userSearch:
      baseDN: cn=users,dc=freeipa,dc=example,dc=com
      filter: "(objectClass=posixAccount)"
      username: uid
      idAttr: uid
      emailAttr: mail
    groupSearch:
      baseDN: cn=groups,dc=freeipa,dc=example,dc=com
      filter: "(objectClass=group)"
      userAttr: uid
      groupAttr: member
      nameAttr: name
"""


def told(settings: Settings) -> LdapConfig:
    (connector,) = settings.connectors
    assert isinstance(connector.config, LdapFile)
    return config_of_file(connector.config)


def paths(problems: tuple[Problem, ...]) -> list[str]:
    return [problem.path.removeprefix("connectors[0].config.") for problem in problems]


def test_openldap_in_the_style_of_dex(read: Read) -> None:
    settings = read(OPENLDAP)
    assert told(settings) == LdapConfig(
        hosts=(Host(name="localhost", port=389),),
        security="plain",
        bind_dn="cn=admin,dc=example,dc=org",
        bind_password=FixedPassword("admin"),
        username_prompt="Email Address",
        user_search=UserSearch(
            base_dn="ou=People,dc=example,dc=org",
            filter="(objectClass=person)",
            username_attrs=("mail",),
            id_attr="DN",
            name_attr="cn",
        ),
        group_search=GroupSearch(
            base_dn="ou=Groups,dc=example,dc=org",
            filter="(objectClass=groupOfNames)",
            name_attr="cn",
            matchers=(UserMatcher(user_attr="DN", group_attr="member"),),
        ),
    )
    assert paths(settings.warnings) == ["insecureNoSSL", "userSearch.idAttr"]
    assert "sends every password in the clear" in settings.warnings[0].message


def test_active_directory_in_the_style_of_dex(read: Read) -> None:
    settings = read(ACTIVE_DIRECTORY)
    config = told(settings)
    assert (config.hosts, config.security) == ((Host(name="ad.example.com", port=636),), "ldaps")
    assert config.trust == Trust(skips_verification=True)
    assert config.group_search is not None
    assert config.group_search.matchers == (
        UserMatcher(user_attr="DN", group_attr="member", recursion_group_attr="member"),
    )
    assert config.user_search.email_attr == "userPrincipalName"
    assert paths(settings.warnings) == ["insecureSkipVerify", "userSearch.idAttr"]


def test_posix_groups_and_several_names(read: Read) -> None:
    settings = read(POSIX)
    config = told(settings)
    # Where Dex would try 636, at which StartTLS is not spoken.
    assert (config.hosts, config.security) == (
        (Host(name="ldap.example.com", port=389),),
        "starttls",
    )
    assert config.user_search.username_attrs == ("uid", "mail")
    assert (config.user_search.scope, config.user_search.id_attr) == ("one", "uid")
    assert config.username_prompt == "Username"
    assert settings.warnings == ()


def test_freeipa_with_the_old_form_of_matchers(read: Read) -> None:
    settings = read(FREEIPA)
    config = told(settings)
    assert config.trust == Trust(ca_file="ca.crt")
    assert config.bind_dn == config.bind_password() == ""
    assert config.group_search is not None
    assert config.group_search.matchers == (UserMatcher(user_attr="uid", group_attr="member"),)
    (warning,) = settings.warnings
    assert warning.path == "connectors[0].config.groupSearch"
    assert "put them into `userMatchers`" in warning.message


HEAD = "connectors:\n- type: ldap\n  id: l\n  name: L\n  config:\n"
SEARCH = "    userSearch: {baseDN: 'dc=x', username: uid}\n"
HOST = "    host: ldap.example.com\n"


def directory(*lines: str, search: str = SEARCH, host: str = HOST) -> str:
    return HEAD + host + search + "".join(f"    {line}\n" for line in lines)


@pytest.mark.parametrize(
    ("host", "flags", "found"),
    [
        ("ldap.example.com", "", ("ldap.example.com", 636)),
        ("ldap.example.com", "insecureNoSSL: true", ("ldap.example.com", 389)),
        ("ldap.example.com", "startTLS: true", ("ldap.example.com", 389)),
        ("ldap.example.com:3269", "", ("ldap.example.com", 3269)),
        ("10.0.0.7:10389", "startTLS: true", ("10.0.0.7", 10389)),
        ("'[2001:db8::7]'", "", ("2001:db8::7", 636)),
        ("'[2001:db8::7]:3636'", "", ("2001:db8::7", 3636)),
    ],
)
def test_the_port_that_is_meant(read: Read, host: str, flags: str, found: tuple[str, int]) -> None:
    settings = read(directory(flags, host=f"    host: {host}\n"))
    assert [(each.name, each.port) for each in told(settings).hosts] == [found]


def test_several_servers_in_order(read: Read) -> None:
    settings = read(directory("hosts: [a.example.com, 'b.example.com:3636']", host=""))
    assert told(settings).hosts == (
        Host(name="a.example.com", port=636),
        Host(name="b.example.com", port=3636),
    )


@pytest.mark.parametrize(
    ("lines", "path", "hint"),
    [
        (["kerberos: {enabled: true}"], "kerberos", "is a key of Dex that kube-idp does not serve"),
        (["bindDM: x"], "bindDM", "did you mean `bindDN`?"),
        (["hosts: [b]"], "hosts", "is given beside `host`"),
        (["insecureNoSSL: true", "startTLS: true"], "insecureNoSSL", "contradicts `startTLS`"),
        (["clientCert: a"], "clientKey", "is required with `clientCert`"),
        (["clientKey: a"], "clientCert", "is required with `clientKey`"),
        (["bindPW: hunter2"], "bindPW", "has no effect without `bindDN`"),
        (["bindPWFile: a"], "bindPWFile", "has no effect without `bindDN`"),
        (["bindDN: cn=a"], "bindPW", "is required with `bindDN`"),
        (["bindDN: cn=a", "bindPW: a", "bindPWFile: b"], "bindPWFile", "is given beside `bindPW`"),
        (["rootCAData: nonsense"], "rootCAData", "is no certificate; give PEM"),
        (["usernamePrompt: [a]"], "usernamePrompt", "must be text"),
        (["groupSearch: {baseDN: 'dc=x', nameAttr: cn}"], "groupSearch.userMatchers",
         "how a group names its members, such as `[{userAttr: DN, groupAttr: member}]`"),
        (["groupSearch: {nameAttr: cn, userMatchers: [{userAttr: a, groupAttr: b}]}"],
         "groupSearch.baseDN", "is required: the entry below which groups are"),
        (["groupSearch: {baseDN: 'dc=x', userMatchers: [{userAttr: a, groupAttr: b}]}"],
         "groupSearch.nameAttr", "is required: the attribute that names the group"),
        (["groupSearch: {baseDN: 'dc=x', nameAttr: cn, userMatchers: [{userAttr: a}]}"],
         "groupSearch.userMatchers[0].groupAttr", "is required"),
        (["groupSearch: {baseDN: 'dc=x', nameAttr: cn, userMatchers:"
          " [{userAttr: a, groupAttr: DN}]}"], "groupSearch.userMatchers[0].groupAttr",
         "that a directory can search for"),
        (["groupSearch: {baseDN: 'dc=x', nameAttr: cn, groupAttr: member}"], "groupSearch.userAttr",
         "is required with `groupAttr`"),
        (["groupSearch: {baseDN: 'dc=x', nameAttr: cn, userAttr: uid, userMatchers:"
          " [{userAttr: a, groupAttr: b}]}"], "groupSearch.userAttr", "is the old form of"),
        (["groupSearch: {baseDN: 'dc=x', nameAttr: cn, scope: base, userAttr: a, groupAttr: b}"],
         "groupSearch.scope", "`base` is not one of sub, one"),
    ],
)  # fmt: skip
def test_mistakes_name_the_key_and_the_remedy(
    refuse: Refuse, lines: list[str], path: str, hint: str
) -> None:
    (problem,) = refuse(directory(*lines))
    assert problem.path == f"connectors[0].config.{path}"
    assert hint in problem.message
    assert problem.line > 4
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize(
    ("host", "hint"),
    [
        ("ldaps://ldap.example.com", "is a URL; write host and port only"),
        ("ldap.example.com:0", "has no valid port"),
        ("ldap.example.com:70000", "has no valid port"),
        ("2001:db8::7", "has an IPv6 address without brackets"),
        ("ldap example", "has no valid host name"),
    ],
)
def test_hosts_that_are_none(refuse: Refuse, host: str, hint: str) -> None:
    (problem,) = refuse(directory(host=f"    host: '{host}'\n"))
    assert problem.path == "connectors[0].config.host"
    assert hint in problem.message


@pytest.mark.parametrize(
    ("search", "path", "hint"),
    [
        ("{username: uid}", "baseDN", "is required: the entry below which people are"),
        ("{baseDN: 'dc=x'}", "username", "is required: the attribute with the name that people"),
        ("{baseDN: 'dc=x', username: []}", "username", "is empty; name the attribute"),
        ("{baseDN: 'dc=x', username: [uid, DN]}", "username[1]", "that a directory can search for"),
        ("{baseDN: 'dc=x', username: uid, scope: subtree}", "scope", "did you mean `sub`?"),
        ("{baseDN: 'dc=x', username: uid, filter: 'a=b'}", "filter", "write it in parentheses"),
        ("{baseDN: 'dc=x', username: uid, idAttr: dn}", "idAttr", "is written `DN`, in capitals"),
        ("{baseDN: people, username: uid}", "baseDN", "is not the name of an entry"),
        ("{baseDN: 'dc=x', username: uid, emailSuffix: a.example}", "emailSuffix",
         "needs `nameAttr`"),
        ("{baseDN: 'dc=x', username: uid, nameAttr: cn, emailSuffix: '@a.example'}", "emailSuffix",
         "write it without one"),
        ("{baseDN: 'dc=x', username: uid, claims: {iss: a}}", "claims.iss",
         "is said by the provider itself; it cannot be set for a person: choose another name"),
        ("{baseDN: 'dc=x', username: uid, claims: {Aud: a}}", "claims.Aud",
         "is said by the provider itself"),
        ("{baseDN: 'dc=x', username: uid, claims: {Groups: memberOf}}", "claims.Groups",
         "is filled by `groupSearch`; remove it here"),
        ("{baseDN: 'dc=x', username: uid, claims: {sub: uid}}", "claims.sub",
         "is filled by `idAttr`; remove it here"),
        ("{baseDN: 'dc=x', username: uid, claims: {address: l}}", "claims.address",
         "is made of its members; set address.formatted, address.street_address"),
        ("{baseDN: 'dc=x', username: uid, claims: {address.town: l}}", 'claims["address.town"]',
         "is no member of address, which has formatted"),
        ("{baseDN: 'dc=x', username: uid, claims: {email_verified: a}}", "claims.email_verified",
         "is filled by nobody but the provider"),
        ("{baseDN: 'dc=x', username: uid, claims: {groups: memberOf}}", "claims.groups",
         "is filled by `groupSearch`; remove it here"),
        ("{baseDN: 'dc=x', username: uid, claims: {'a b': c}}", 'claims["a b"]',
         "is no name of a claim: at most 128 letters"),
        ("{baseDN: 'dc=x', username: uid, claims: {dept: 'a b'}}", "claims.dept",
         "cannot be the name of an attribute"),
        ("{baseDN: 'dc=x', username: uid, claims: [a]}", "claims", "must be a mapping of keys"),
    ],
)  # fmt: skip
def test_mistakes_in_how_people_are_found(
    refuse: Refuse, search: str, path: str, hint: str
) -> None:
    (problem,) = refuse(directory(search=f"    userSearch: {search}\n"))
    assert problem.path == f"connectors[0].config.userSearch.{path}"
    assert hint in problem.message


def test_what_is_missing_altogether_is_told_at_once(refuse: Refuse) -> None:
    assert paths(refuse("connectors: [{type: ldap, id: l, name: L}]")) == ["host", "userSearch"]
    (problem,) = refuse("connectors: [{type: ldap, id: l, name: L, config: ldap.example.com}]")
    assert problem.message == "must be a mapping of keys, but is a single value"


@pytest.mark.parametrize(
    ("lines", "host", "path", "hint"),
    [
        (
            ["insecureNoSSL: true", "rootCA: a"],
            "a:3389",
            "rootCA",
            "no effect with `insecureNoSSL`",
        ),
        (["insecureSkipVerify: true", "rootCA: a"], "a", "rootCA", "with `insecureSkipVerify`"),
        (["startTLS: true"], "a:636", "host", "which `startTLS` does not speak"),
        (["insecureNoSSL: true"], "a:636", "host", "which `insecureNoSSL` does not speak"),
        ([], "a:389", "host", "give `startTLS: true`, or the port for LDAPS"),
    ],
)
def test_what_is_probably_not_meant(
    read: Read, lines: list[str], host: str, path: str, hint: str
) -> None:
    warnings = read(directory(*lines, host=f"    host: {host}\n")).warnings
    found = {problem.path.removeprefix("connectors[0].config."): problem for problem in warnings}
    assert hint in found[path].message


def test_authorities_as_pem_and_in_base64_of_it(read: Read) -> None:
    pem = CertificateAuthority.create().pem
    coded = base64.b64encode(pem.encode()).decode()
    in_base64 = read(directory(f"rootCAData: {coded}", "rootCA: other.pem"))
    indented = "".join(f"      {line}\n" for line in pem.splitlines())
    as_it_is = read(directory(f"rootCAData: |\n{indented}"))
    assert told(in_base64).trust.ca_data.strip() == pem.strip()
    assert told(as_it_is).trust.ca_data.strip() == pem.strip()
    assert paths(in_base64.warnings) == ["rootCA"]


def test_a_suffix_makes_the_address_and_no_attribute_is_asked_for_it(read: Read) -> None:
    search = "{baseDN: 'dc=x', username: uid, nameAttr: uid, emailSuffix: example.com}"
    found = told(read(directory(search=f"    userSearch: {search}\n"))).user_search
    assert (found.email_attr, found.email_suffix) == ("", "example.com")


def test_any_attribute_becomes_any_claim(read: Read) -> None:
    search = (
        "{baseDN: 'dc=x', username: uid, claims: {department: ou, address.locality: l, phone: DN}}"
    )
    found = told(read(directory(search=f"    userSearch: {search}\n"))).user_search
    assert found.claims == (("department", "ou"), ("address.locality", "l"), ("phone", "DN"))


def test_a_password_in_a_file_is_read_each_time(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "password"
    password = told(read(directory("bindDN: cn=a", f"bindPWFile: {path}"))).bind_password
    assert password == PasswordFile(path)
    with pytest.raises(ValueError, match=r"password \(`bindPWFile`\) cannot be used: No such file"):
        password()
    path.write_text("")
    with pytest.raises(ValueError, match="is empty"):
        password()
    path.write_text("first \n")
    assert password() == "first "
    path.write_text("second")
    assert password() == "second"


def test_no_bind_password_is_shown(read: Read) -> None:
    settings = read(directory("bindDN: cn=a", "bindPW: hunter2"))
    assert told(settings).bind_password() == "hunter2"
    assert "hunter2" not in repr(settings) + repr(told(settings)) + repr(FixedPassword("hunter2"))


@pytest.mark.parametrize("name", sorted(OURS | OF_IDENTITY))
def test_what_no_source_of_users_may_say_is_refused_and_not_dropped(name: str) -> None:
    """What the file lets through is told: the rule is the one by which tokens are made."""
    for spelling in (name, name.upper(), name.title()):
        assert claim_problem(spelling)
        assert not may_be_set(spelling)


@given(name=st.text(max_size=140))
def test_a_name_that_is_taken_is_one_that_is_told(name: str) -> None:
    assert may_be_set(name) == (claim_problem(name) == "")
