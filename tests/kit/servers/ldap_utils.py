"""ldapmodify, ldapsearch and ldapwhoami: how tests change and read a directory from outside."""

import base64
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.kit.directory_tree import Attributes
from tests.kit.servers.certificates import ServerCertificate

Entry = Mapping[str, Sequence[bytes]]


class LdapFailed(Exception):
    """A directory said no; `result` is its code (RFC 4511, appendix A) or the tool's own."""

    def __init__(self, result: int, text: str) -> None:
        """Take the code and what the tool printed."""
        super().__init__(f"result {result}: {text}")
        self.result = result


@dataclass(frozen=True, slots=True, kw_only=True)
class LdapUtils:
    """The tools of OpenLDAP, bound to a directory as one of its entries.

    `ldapmodify` is the path of that program; the others lie beside it. With `start_tls`, or an
    `ldaps://` URL, the server's certificate must be of an authority in `ca_file`; `certificate` is
    the client's own. What lasts longer than `within` seconds raises `subprocess.TimeoutExpired`.
    """

    ldapmodify: Path
    url: str
    dn: str
    password: str
    ca_file: Path
    start_tls: Literal["never", "required"] = "never"
    certificate: ServerCertificate | None = None
    within: float = 30

    def whoami(self) -> str:
        """Bind, and return as which entry the directory knows us; raises `LdapFailed`."""
        return self._run("ldapwhoami", []).strip().removeprefix("dn:").lstrip()

    def search(
        self,
        filter: str,
        *,
        base: str,
        attributes: Sequence[str] = (),
        page_size: int | None = None,
    ) -> Mapping[str, Entry]:
        """Return what lies under `base` and matches, by distinguished name; raises `LdapFailed`."""
        pages = [] if page_size is None else ["-E", f"pr={page_size}/noprompt"]
        options = ["-LLL", "-o", "ldif-wrap=no", "-b", base, *pages]
        return _parsed(self._run("ldapsearch", [*options, filter, *attributes]))

    def change(self, ldif: str, *, controls: Sequence[str] = ()) -> None:
        """Apply changes (RFC 2849) in their order; raises `LdapFailed` at the first refused."""
        options = [option for control in controls for option in ("-e", control)]
        self._run("ldapmodify", options, given=ldif)

    def _run(self, tool: str, arguments: Sequence[str], *, given: str = "") -> str:
        bind = ["-x", "-H", self.url, "-D", self.dn, "-w", self.password]
        tls = ["-ZZ"] if self.start_tls == "required" else []
        answer = subprocess.run(
            [self.ldapmodify.with_name(tool), *bind, *tls, *arguments],
            input=given,
            capture_output=True,
            text=True,
            timeout=self.within,
            env={**os.environ, **self._settings()},
        )
        if answer.returncode:
            raise LdapFailed(answer.returncode, answer.stderr.strip())
        return answer.stdout

    def _settings(self) -> Mapping[str, str]:
        # Neither the machine's ldap.conf nor the person's own has a say.
        settings = {"LDAPCONF": os.devnull, "LDAPRC": "", "HOME": os.devnull}
        if self.certificate is not None:
            settings["LDAPTLS_CERT"] = str(self.certificate.certificate)
            settings["LDAPTLS_KEY"] = str(self.certificate.key)
        return {**settings, "LDAPTLS_CACERT": str(self.ca_file)}


def ldif_added(dn: str, attributes: Attributes) -> str:
    """Write an entry that is to be added."""
    return _record(dn, "add", [_line(name, v) for name, vs in attributes.items() for v in vs])


def ldif_modified(dn: str, how: Literal["add", "delete", "replace"], attributes: Attributes) -> str:
    """Write a change of attributes; one without values stands for all that the entry has."""
    lines = []
    for name, values in attributes.items():
        lines += [f"{how}: {name}", *(_line(name, value) for value in values), "-"]
    return _record(dn, "modify", lines)


def ldif_deleted(dn: str) -> str:
    """Write that an entry is to go."""
    return _record(dn, "delete", [])


def ldif_renamed(dn: str, *, rdn: str, parent: str) -> str:
    """Write that an entry gets another name below a parent, and loses its old one."""
    lines = [_line("newrdn", rdn), "deleteoldrdn: 1", _line("newsuperior", parent)]
    return _record(dn, "modrdn", lines)


def _record(dn: str, change: str, lines: Sequence[str]) -> str:
    return "\n".join([_line("dn", dn), f"changetype: {change}", *lines, "", ""])


def _line(name: str, value: str | bytes) -> str:
    raw = value.encode() if isinstance(value, str) else value
    return f"{name}:: {base64.b64encode(raw).decode('ascii')}"


def _parsed(ldif: str) -> Mapping[str, Entry]:
    found = {}
    for record in ldif.strip().split("\n\n"):
        entry: dict[str, list[bytes]] = {}
        for line in record.splitlines():
            name, _, value = line.partition(":")
            raw = base64.b64decode(value[1:]) if value.startswith(":") else value.strip().encode()
            if name and not name.startswith("#"):
                entry.setdefault(name, []).append(raw)
        if "dn" in entry:
            found[entry.pop("dn")[0].decode()] = entry
    return found
