"""Rules about several keys of an LDAP connector at once, and what is probably not meant.

The rules read the plain values, as those in `rules` do; the doubts read what has been checked.
"""

from collections.abc import Iterator
from typing import Any

from connectors.ldap.config import DN
from idp.oauth.claim_names import check_name
from idp.settings.draft import Draft, Finding, is_true, mapping_at, value_at
from idp.settings.ldap import (
    LdapDirectory,
    LdapFile,
    LdapFileGroupSearch,
    LdapObject,
    host_and_port,
)
from idp.settings.problems import KeyPath

FILLED_BY = {
    "sub": "`idAttr`",
    "email": "`emailAttr`",
    "email_verified": "nobody but the provider",
    "name": "`nameAttr`",
    "preferred_username": "`preferredUsernameAttr`",
    "groups": "`groupSearch`",
    "federated_claims": "nobody but the provider",
}
"""What fills the claims of an identity's own fields, for whoever tried to map one."""


def check_directory(draft: Draft, place: KeyPath, *, passwords: tuple[str, ...]) -> None:
    """Note in the draft whatever breaks a rule. `passwords` are the keys for that of `bindDN`."""
    directory = mapping_at(draft.value, *place)
    if value_at(draft.value, *place) not in (None, directory):
        return  # it is no mapping at all
    findings = (
        *_hosts(directory),
        *_security(directory),
        *_service_account(directory, passwords),
        *_user_search(mapping_at(directory, "userSearch")),
        *_group_search(mapping_at(directory, "groupSearch")),
    )
    for finding in findings:
        draft.refuse((*place, *finding.path), finding.message)


def _hosts(directory: dict[str, Any]) -> Iterator[Finding]:
    if not directory.get("host") and not directory.get("hosts"):
        text = "is required: where the directory answers, such as `ldap.example.com:636`"
        yield Finding(("host",), text)
    elif directory.get("host") and directory.get("hosts"):
        yield Finding(("hosts",), "is given beside `host`; put all servers into one of the two")


def _security(directory: dict[str, Any]) -> Iterator[Finding]:
    if is_true(directory.get("insecureNoSSL")) and is_true(directory.get("startTLS")):
        yield Finding(
            ("insecureNoSSL",),
            "contradicts `startTLS`: remove it, so that passwords are protected (Dex would send"
            " them in the clear)",
        )
    for key, other in (("clientCert", "clientKey"), ("clientKey", "clientCert")):
        if key in directory and other not in directory:
            yield Finding((other,), f"is required with `{key}`: the path of a PEM file")


def _service_account(directory: dict[str, Any], passwords: tuple[str, ...]) -> Iterator[Finding]:
    given = [key for key in passwords if key in directory]
    if len(given) > 1:
        text = f"is given beside `{given[0]}`; remove one of the two"
        yield Finding((given[1],), text)
    if "bindDN" in directory and not given:
        yield Finding(
            (passwords[0],),
            "is required with `bindDN`: a directory takes a name without a password for nobody",
        )
    if given and "bindDN" not in directory:
        yield Finding((given[0],), "has no effect without `bindDN`, the account that it is of")


def _user_search(search: dict[str, Any]) -> Iterator[Finding]:
    suffix = search.get("emailSuffix")
    if isinstance(suffix, str) and "@" in suffix:
        yield Finding(("userSearch", "emailSuffix"), "is put behind an `@`; write it without one")
    if suffix is not None and "nameAttr" not in search:
        yield Finding(
            ("userSearch", "emailSuffix"),
            "needs `nameAttr`: the address is made of the name that it gives",
        )
    for name in mapping_at(search, "claims"):
        if problem := claim_problem(name):
            yield Finding(("userSearch", "claims", name), problem)


def claim_problem(name: str) -> str:
    """Return why a directory cannot fill a claim of this name; "" if it can."""
    if filler := FILLED_BY.get(name.lower()):
        return f"is a claim that is filled by {filler}; remove it here"
    try:
        check_name(name)
    except ValueError as refusal:
        return str(refusal)
    return ""


def _group_search(search: dict[str, Any]) -> Iterator[Finding]:
    if not search:
        return
    flat = [key for key in ("userAttr", "groupAttr", "recursionGroupAttr") if key in search]
    if search.get("userMatchers"):
        for key in flat:
            text = "is the old form of `userMatchers`, which is given too; remove it"
            yield Finding(("groupSearch", key), text)
        return
    if not flat:
        yield Finding(
            ("groupSearch", "userMatchers"),
            "is required: how a group names its members, such as"
            f" `[{{userAttr: {DN}, groupAttr: member}}]`",
        )
        return
    for key in ("userAttr", "groupAttr"):
        if key not in flat:
            yield Finding(("groupSearch", key), f"is required with `{flat[0]}`")


def doubts_about(directory: LdapDirectory) -> Iterator[Finding]:
    """Yield what works and is probably not meant; paths begin at the directory's own keys."""
    yield from _insecurity(directory)
    yield from _useless_trust(directory)
    for key, address in _written_hosts(directory):
        if doubt := _about_port(directory, host_and_port(address)[1]):
            yield Finding(key, doubt)
    if directory.user_search.id_attr == DN:
        yield Finding(
            ("userSearch", "idAttr"),
            "decides `sub`: whoever is renamed or moved in the tree becomes another person; better"
            " is an attribute that stays, such as `uid` or `entryUUID`",
        )
    search = directory.group_search
    if isinstance(search, LdapFileGroupSearch) and search.user_attr is not None:
        yield Finding(
            ("groupSearch",),
            "uses `userAttr` and `groupAttr`, which are an old form; put them into `userMatchers`",
        )


def _insecurity(directory: LdapDirectory) -> Iterator[Finding]:
    if directory.insecure_no_ssl:
        yield Finding(
            ("insecureNoSSL",),
            "sends every password in the clear; use LDAPS, or `startTLS: true`",
        )
    elif directory.insecure_skip_verify:
        yield Finding(
            ("insecureSkipVerify",),
            "lets anybody between here and the directory read every password; remove it and give"
            " the authority of the directory's certificate in `rootCAData`",
        )


def _useless_trust(directory: LdapDirectory) -> Iterator[Finding]:
    authorities = _authorities(directory)
    reason = ""
    if directory.insecure_no_ssl:
        reason = "has no effect with `insecureNoSSL`"
    elif directory.insecure_skip_verify:
        reason = "has no effect with `insecureSkipVerify`"
    if reason:
        for key in authorities:
            yield Finding((key,), reason)
    elif len(authorities) > 1:
        yield Finding((authorities[1],), "has no effect: `rootCAData` goes before it")


def _authorities(directory: LdapDirectory) -> list[str]:
    given = {"rootCAData": directory.root_ca_data is not None}
    if isinstance(directory, LdapFile):
        given["rootCA"] = directory.root_ca is not None
    if isinstance(directory, LdapObject):
        given["rootCARef"] = directory.root_ca_ref is not None
    return [key for key, is_given in given.items() if is_given]


def _written_hosts(directory: LdapDirectory) -> Iterator[tuple[KeyPath, str]]:
    if directory.host is not None:
        yield ("host",), directory.host
    for i, host in enumerate(directory.hosts):
        yield ("hosts", i), host


def _about_port(directory: LdapDirectory, port: int | None) -> str:
    late = directory.insecure_no_ssl or directory.start_tls
    if port == 636 and late:
        key = "insecureNoSSL" if directory.insecure_no_ssl else "startTLS"
        return f"names the port for TLS from the first byte, which `{key}` does not speak"
    if port == 389 and not late:
        return (
            "names the port without TLS; give `startTLS: true`, or the port for LDAPS, usually 636"
        )
    return ""
