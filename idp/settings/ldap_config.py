"""From the checked keys of an LDAP connector to what the connector is told."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from connectors.ldap.config import (
    GroupSearch,
    LdapConfig,
    Security,
    Trust,
    UserMatcher,
    UserSearch,
)
from idp.settings.ldap import (
    LdapDirectory,
    LdapFile,
    LdapFileGroupSearch,
    LdapGroupSearch,
    LdapUserSearch,
)
from idp.settings.substitution import read_text


@dataclass(frozen=True, slots=True)
class FixedPassword:
    """A bind password that was given once."""

    text: str = field(repr=False)

    def __call__(self) -> str:
        """Return it."""
        return self.text


@dataclass(frozen=True, slots=True)
class PasswordFile:
    """A bind password in a file, which is read each time: a mounted Secret may be replaced."""

    path: Path

    def __call__(self) -> str:
        """Return what stands there, without one line break at its end. Raises ValueError."""
        try:
            text = read_text(self.path)
        except ValueError as error:
            raise ValueError(
                f"the file {self.path} (`bindPWFile`) cannot be used: {error}"
            ) from None
        password = text.removesuffix("\n").removesuffix("\r")
        if not password:
            raise ValueError(f"the file {self.path} (`bindPWFile`) is empty")
        return password


def config_of_file(section: LdapFile) -> LdapConfig:
    """Return what the connector of a configuration file is told."""
    return ldap_config(section, trust=_trust_of_file(section), bind_password=_password(section))


def ldap_config(
    directory: LdapDirectory, *, trust: Trust, bind_password: Callable[[], str]
) -> LdapConfig:
    """Return what a connector is told, with secrets from wherever they are."""
    return LdapConfig(
        hosts=directory.addresses,
        security=_security(directory),
        trust=trust,
        bind_dn=directory.bind_dn or "",
        bind_password=bind_password,
        username_prompt=directory.username_prompt,
        user_search=_user_search(directory.user_search),
        group_search=_group_search(directory.group_search),
    )


def _security(directory: LdapDirectory) -> Security:
    if directory.insecure_no_ssl:
        return "plain"
    return "starttls" if directory.start_tls else "ldaps"


def _trust_of_file(section: LdapFile) -> Trust:
    return Trust(
        ca_file=_path(section.root_ca),
        ca_data=section.root_ca_data or "",
        certificate_file=_path(section.client_cert),
        key_file=_path(section.client_key),
        skips_verification=section.insecure_skip_verify,
    )


def _path(path: Path | None) -> str:
    return "" if path is None else str(path)


def _password(section: LdapFile) -> Callable[[], str]:
    if section.bind_pw_file is not None:
        return PasswordFile(section.bind_pw_file)
    return FixedPassword("" if section.bind_pw is None else section.bind_pw.get_secret_value())


def _user_search(search: LdapUserSearch) -> UserSearch:
    return UserSearch(
        base_dn=search.base_dn,
        filter=search.filter or "",
        scope=search.scope,
        username_attrs=search.username,
        id_attr=search.id_attr,
        # The address is made of the name then, and the entry need not have one.
        email_attr="" if search.email_suffix else search.email_attr,
        name_attr=search.name_attr or "",
        preferred_username_attr=search.preferred_username_attr or "",
        email_suffix=search.email_suffix or "",
        claims=tuple(search.claims.items()),
    )


def _group_search(search: LdapGroupSearch | None) -> GroupSearch | None:
    if search is None:
        return None
    return GroupSearch(
        base_dn=search.base_dn,
        filter=search.filter or "",
        scope=search.scope,
        name_attr=search.name_attr,
        matchers=_matchers(search),
    )


def _matchers(search: LdapGroupSearch) -> tuple[UserMatcher, ...]:
    matchers = tuple(
        UserMatcher(
            user_attr=each.user_attr,
            group_attr=each.group_attr,
            recursion_group_attr=each.recursion_group_attr or "",
        )
        for each in search.user_matchers
    )
    match search:
        case LdapFileGroupSearch(user_attr=str(user_attr), group_attr=str(group_attr)):
            only = UserMatcher(
                user_attr=user_attr,
                group_attr=group_attr,
                recursion_group_attr=search.recursion_group_attr or "",
            )
            return (only,)
    return matchers
