"""The `config` of an LDAP connector, with Dex's keys, and the `ldap` of an IdentityConnector.

Both have the same keys but for secrets: the file names files, an object names Secrets.
"""

import base64
import binascii
import ssl
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from connectors.ldap.config import Host
from idp.settings.fields import Flag, Secret, Text
from idp.settings.ldap_syntax import (
    check_attribute,
    check_base_dn,
    check_filter,
    check_stored_attribute,
)
from idp.settings.listeners import FilePath
from idp.settings.section import Section
from idp.settings.url_syntax import split_authority

MOST_HOSTS = 16
MOST_USERNAMES = 8
MOST_MATCHERS = 16
MOST_CLAIMS = 64

_PEM = "-----BEGIN CERTIFICATE-----"


def _at_most(most: int) -> AfterValidator:
    def check(items: Any) -> Any:
        if len(items) > most:
            raise ValueError(f"has more than {most} items")
        return items

    return AfterValidator(check)


def check_host(text: str) -> str:
    """Return `host` or `host:port` unchanged. Raises ValueError."""
    host_and_port(text)
    return text


def host_and_port(text: str) -> tuple[str, int | None]:
    """Return the parts of `host` or `host:port`; without brackets. Raises ValueError."""
    if "://" in text:
        raise ValueError("is a URL; write host and port only, such as `ldap.example.com:636`")
    host, port = split_authority(text)
    if port == 0:
        raise ValueError("has no valid port; a port is a number from 1 to 65535")
    return host.strip("[]"), port


def check_certificates(text: str) -> str:
    """Return certificates as PEM, from PEM or, as Dex has it, base64 of PEM. Raises ValueError."""
    pem = text if _PEM in text else _decoded(text)
    if _PEM not in pem:
        raise ValueError(
            "is no certificate; give PEM (`-----BEGIN CERTIFICATE-----` …), or base64 of it"
        )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except ssl.SSLError:
        raise ValueError("is no certificate that can be read; is the PEM complete?") from None
    return pem


def _decoded(text: str) -> str:
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return ""


def _listed(value: Any) -> Any:
    """Take one name for a list of one, as Dex does."""
    if value == ():
        raise ValueError("is empty; name the attribute with the name that people type")
    return value if isinstance(value, tuple) else (value,)


def _stripped(value: Any) -> Any:
    """Take a text as it stands in a block of YAML, which ends with a line break."""
    return value.strip() if isinstance(value, str) else value


HostText = Annotated[Text, AfterValidator(check_host)]
Attribute = Annotated[Text, AfterValidator(check_attribute)]
StoredAttribute = Annotated[Text, AfterValidator(check_stored_attribute)]
BaseDN = Annotated[Text, AfterValidator(check_base_dn)]
Filter = Annotated[Text, BeforeValidator(_stripped), AfterValidator(check_filter)]
Certificates = Annotated[Text, BeforeValidator(_stripped), AfterValidator(check_certificates)]
ScopeWord = Literal["sub", "one"]


class LdapUserSearch(Section):
    """How a typed name becomes an entry, and what the entry says of a person."""

    base_dn: BaseDN = Field(
        description="the entry below which people are, such as `ou=people,dc=example,dc=com`"
    )
    filter: Filter | None = None
    scope: ScopeWord = "sub"
    username: Annotated[
        tuple[StoredAttribute, ...], BeforeValidator(_listed), _at_most(MOST_USERNAMES)
    ] = Field(description="the attribute with the name that people type, such as `uid` or `mail`")
    id_attr: Attribute = "uid"
    email_attr: Attribute = "mail"
    name_attr: Attribute | None = None
    preferred_username_attr: Attribute | None = None
    email_suffix: Text | None = None
    claims: Annotated[dict[str, Attribute], _at_most(MOST_CLAIMS)] = Field(default_factory=dict)


class LdapUserMatcher(Section):
    """Which attribute of a group holds which attribute of its members."""

    user_attr: Attribute = Field(
        description="the attribute of the person that the group names, such as `DN` or `uid`"
    )
    group_attr: StoredAttribute = Field(
        description="the attribute of the group that names its members, such as `member`"
    )
    recursion_group_attr: StoredAttribute | None = None


class LdapGroupSearch(Section):
    """Where groups are, and which attribute names them in tokens."""

    base_dn: BaseDN = Field(
        description="the entry below which groups are, such as `ou=groups,dc=example,dc=com`"
    )
    filter: Filter | None = None
    scope: ScopeWord = "sub"
    name_attr: Attribute = Field(
        description="the attribute that names the group in tokens, such as `cn`"
    )
    user_matchers: Annotated[tuple[LdapUserMatcher, ...], _at_most(MOST_MATCHERS)] = ()


class LdapFileGroupSearch(LdapGroupSearch):
    """The same with three keys of old files, which are the keys of the only matcher."""

    user_attr: Attribute | None = None
    group_attr: StoredAttribute | None = None
    recursion_group_attr: StoredAttribute | None = None


class LdapDirectory(Section):
    """What a file and an object say alike. `ldap_rules` has the rules on several keys."""

    unserved: ClassVar[frozenset[str]] = frozenset({"kerberos"})

    host: HostText | None = None
    hosts: Annotated[tuple[HostText, ...], _at_most(MOST_HOSTS)] = ()
    insecure_no_ssl: Flag = False
    start_tls: Flag = False
    insecure_skip_verify: Flag = False
    root_ca_data: Certificates | None = None
    bind_dn: Text | None = None
    username_prompt: Text = "Username"
    user_search: LdapUserSearch = Field(
        description="where people are, and by which attribute they sign in"
    )
    group_search: LdapGroupSearch | None = None

    @property
    def addresses(self) -> tuple[Host, ...]:
        """Return the servers in order; one without a port has that of its kind of connection."""
        usual = 389 if self.insecure_no_ssl or self.start_tls else 636
        pairs = (host_and_port(text) for text in (self.hosts or (self.host or "",)))
        return tuple(Host(name=name, port=port or usual) for name, port in pairs)


class LdapFile(LdapDirectory):
    """The `config` of a connector of type `ldap` in the file."""

    root_ca: FilePath | None = None
    client_cert: FilePath | None = None
    client_key: FilePath | None = None
    bind_pw: Secret | None = None
    bind_pw_file: FilePath | None = None
    group_search: LdapFileGroupSearch | None = None


class EntryReference(Section):
    """An entry of a Secret in the object's own namespace."""

    name: Text = Field(description="the name of a Secret in this namespace")
    key: Text | None = None


class SecretReference(Section):
    """A Secret in the object's own namespace."""

    name: Text = Field(description="the name of a Secret in this namespace")


class LdapObject(LdapDirectory):
    """The `spec.ldap` of an IdentityConnector."""

    bind_pw_ref: EntryReference | None = None
    root_ca_ref: EntryReference | None = None
    client_cert_ref: SecretReference | None = None
