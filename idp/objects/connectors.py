"""From an `IdentityConnector` as somebody wrote it to a connector that people can sign in with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from connectors.ldap.config import LdapConfig, Trust
from idp.objects.secret_values import no_answer, text_of, unusable
from idp.objects.spec_reader import SpecReader
from idp.objects.verdicts import (
    BadSecret,
    Claim,
    GoodSecret,
    Judged,
    SecretNeed,
    SecretReading,
    Secrets,
)
from idp.settings.ldap import LdapObject, check_certificates
from idp.settings.ldap_config import FixedPassword, ldap_config
from idp.settings.ldap_object import read_directory
from idp.settings.places import check_connector_id
from storage.objects import WrittenObject

CONNECTOR_ID = "connector id"
"""What only one connector can have."""

LOCAL = "local"
"""The id of the connector of local users, whose people must stay apart from all others."""

LDAP = "ldap"

PASSWORD_ENTRY = "bindPW"  # noqa: S105 - the name of an entry
AUTHORITY_ENTRY = "ca.crt"
CERTIFICATE_ENTRY, KEY_ENTRY = "tls.crt", "tls.key"
"""The entries of Secrets that are looked into; those of certificates as in `kubernetes.io/tls`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenConnector:
    """A connector that somebody wrote, with everything that is needed to open it."""

    id: str
    name: str
    type: str
    config: LdapConfig


def connector_claims(written: WrittenObject) -> tuple[Claim, ...]:
    """Return the id that the object claims, even if nothing else in it is right."""
    connector_id = _connector_id(SpecReader(written.spec), written)
    return (Claim(CONNECTOR_ID, connector_id),) if connector_id else ()


def connector_needs(written: WrittenObject) -> tuple[SecretNeed, ...]:
    """Return which entries of which Secrets the object refers to."""
    return _needs_of(written).all


def judge_connector(written: WrittenObject, secrets: Secrets) -> Judged[WrittenConnector]:
    """Return the connector, or what is wrong with the object.

    `secrets` are what `connector_needs` asked for.
    """
    spec = SpecReader(written.spec)
    connector_id = _connector_id(spec, written)
    name = spec.text("name", default=connector_id)
    kind = spec.needed("type", _check_type, "the kind of source, which is `ldap`")
    if kind != LDAP:
        return Judged(value=None, problems=tuple(spec.problems))
    found = read_directory(written.spec.get(LDAP) or {})
    problems = (*spec.problems, *found.problems)
    if problems or found.directory is None:
        return Judged(value=None, problems=problems)
    if None in secrets:
        return Judged(value=None)
    try:
        config = _config(found.directory, _needs_of(written), secrets)
    except _SecretRefused as refused:
        return Judged(value=None, bad_secret=refused.bad)
    connector = WrittenConnector(id=connector_id, name=name, type=kind, config=config)
    return Judged(value=connector, doubts=found.doubts)


class _SecretRefused(Exception):
    """A Secret was read and is of no use."""

    def __init__(self, bad: BadSecret) -> None:
        super().__init__(bad.message)
        self.bad = bad


@dataclass(frozen=True, slots=True, kw_only=True)
class _Needs:
    """Which entries of Secrets a directory refers to; the last two always together."""

    password: SecretNeed | None
    authority: SecretNeed | None
    certificate: SecretNeed | None
    key: SecretNeed | None

    @property
    def all(self) -> tuple[SecretNeed, ...]:
        """Return those that there are."""
        needs = (self.password, self.authority, self.certificate, self.key)
        return tuple(need for need in needs if need is not None)


def _needs_of(written: WrittenObject) -> _Needs:
    directory = SpecReader(written.spec).section(LDAP)
    return _Needs(
        password=_need(directory, "bindPWRef", PASSWORD_ENTRY),
        authority=_need(directory, "rootCARef", AUTHORITY_ENTRY),
        certificate=_need(directory, "clientCertRef", CERTIFICATE_ENTRY),
        key=_need(directory, "clientCertRef", KEY_ENTRY),
    )


def _need(directory: SpecReader, field: str, entry: str) -> SecretNeed | None:
    reference = directory.section(field)
    name = reference.text("name")
    key = entry if field == "clientCertRef" else reference.text("key", default=entry)
    return SecretNeed(name=name, key=key, field=f"spec.ldap.{field}") if name and key else None


def _connector_id(spec: SpecReader, written: WrittenObject) -> str:
    if not spec.lacks("id"):
        return spec.text("id", _check_id)
    try:
        return _check_id(written.name)
    except ValueError as error:
        spec.refuse("id", f"is required: the name of the object {error}")
        return ""


def _check_id(text: str) -> str:
    if text == LOCAL:
        raise ValueError("is the id of the connector of local users; choose another")
    return check_connector_id(text)


def _check_type(text: str) -> str:
    if text != LDAP:
        raise ValueError("is no kind of source that is served; write `ldap`")
    return text


def _config(directory: LdapObject, needs: _Needs, secrets: Secrets) -> LdapConfig:
    """Return what the connector is told. Raises _SecretRefused."""
    read = dict(zip(needs.all, secrets, strict=True))
    password = FixedPassword(_password(needs.password, read))
    authority = _text(needs.authority, read, check_certificates)
    trust = Trust(
        ca_data=directory.root_ca_data or authority,
        certificate_data=_text(needs.certificate, read, _check_certificate),
        key_data=_text(needs.key, read, _check_key),
        skips_verification=directory.insecure_skip_verify,
    )
    return ldap_config(directory, trust=trust, bind_password=password)


_Read = Mapping[SecretNeed, SecretReading | None]


def _good(need: SecretNeed, read: _Read) -> GoodSecret:
    """Return what was read. Raises _SecretRefused where it gave nothing."""
    secret = read[need]
    if isinstance(secret, GoodSecret):
        return secret
    raise _SecretRefused(secret or no_answer(need, "It was not read yet"))


def _password(need: SecretNeed | None, read: _Read) -> str:
    if need is None:
        return ""
    text = text_of(_good(need, read))
    if isinstance(text, BadSecret):
        raise _SecretRefused(text)
    return text


def _text(need: SecretNeed | None, read: _Read, check: Callable[[str], str]) -> str:
    """Return a text of several lines, such as a certificate."""
    if need is None:
        return ""
    secret = _good(need, read)
    try:
        return check(secret.value.decode("ascii"))
    except UnicodeDecodeError:
        raise _SecretRefused(unusable(secret, "is not text; write it as PEM")) from None
    except ValueError as error:
        raise _SecretRefused(unusable(secret, str(error))) from None


def _check_certificate(text: str) -> str:
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise ValueError("is no certificate; give PEM (`-----BEGIN CERTIFICATE-----` …)")
    return text


def _check_key(text: str) -> str:
    if "PRIVATE KEY-----" not in text:
        raise ValueError("is no private key; give PEM (`-----BEGIN PRIVATE KEY-----` …)")
    return text
