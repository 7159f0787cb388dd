"""What the directory servers of the tests have in common: addresses, and their administrator."""

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

from tests.kit.directory_tree import BASE, SERVICE, Attributes
from tests.kit.servers import ldap_utils
from tests.kit.servers.ldap_utils import Entry, LdapFailed, LdapUtils
from tests.kit.servers.process import Process, free_port

_PROBE_SECONDS = 2


class DirectoryServer(ABC):
    """A directory on ldap:// (with StartTLS) and ldaps://. Entering starts it.

    Its people are in `tests.kit.directory_tree`. Ports and data outlive `stop` and `start`.
    Neither anonymous nor a person who is bound reads anything; `SERVICE` reads all but passwords.
    """

    def __init__(
        self, *, directory: Path, ldapmodify: Path, admin_dn: str, admin_password: str
    ) -> None:
        """Choose ports; what the server writes will be below `directory`."""
        self._directory = directory
        self._ldapmodify = ldapmodify
        self._admin_dn = admin_dn
        self._admin_password = admin_password
        self._port = free_port()
        self._tls_port = free_port()
        self.host = f"127.0.0.1:{self._port}"
        self.tls_host = f"127.0.0.1:{self._tls_port}"
        self.url = f"ldap://{self.host}"
        self.tls_url = f"ldaps://{self.tls_host}"
        self.ca_file = directory / "ca.crt"

    @abstractmethod
    def start(self) -> None:
        """Start, and wait until everybody is in it; raises `ServerFailed` after some seconds."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it; harmless when it does not run."""

    @abstractmethod
    def lock(self, dn: str) -> None:
        """Lock an account until `unlock`, as its administrator would."""

    @abstractmethod
    def unlock(self, dn: str) -> None:
        """Let an account in again."""

    def restart(self) -> None:
        """Stop and start: connections are gone, ports and data are not."""
        self.stop()
        self.start()

    def add(self, dn: str, attributes: Attributes) -> None:
        """Add an entry."""
        self._admin().change(ldap_utils.ldif_added(dn, attributes))

    def add_all(self, entries: Sequence[tuple[str, Attributes]]) -> None:
        """Add many entries at once."""
        self._admin().change("".join(ldap_utils.ldif_added(*entry) for entry in entries))

    def modify(
        self, dn: str, how: Literal["add", "delete", "replace"], attributes: Attributes
    ) -> None:
        """Change attributes; one without values stands for all that the entry has."""
        self._admin().change(ldap_utils.ldif_modified(dn, how, attributes))

    def delete(self, dn: str) -> None:
        """Delete an entry, which also leaves its groups."""
        self._admin().change(ldap_utils.ldif_deleted(dn))

    def rename(self, dn: str, *, rdn: str, parent: str) -> str:
        """Rename or move an entry, in its groups too; return its distinguished name."""
        self._admin().change(ldap_utils.ldif_renamed(dn, rdn=rdn, parent=parent))
        return f"{rdn},{parent}"

    def set_password(self, dn: str, password: str) -> None:
        """Give an entry a password."""
        self.modify(dn, "replace", {"userPassword": [password]})

    def search(self, filter: str, *, base: str = BASE) -> Mapping[str, Entry]:
        """Return entries as the administrator sees them, operational attributes with them."""
        return self._admin().search(filter, base=base, attributes=("*", "+"))

    def client(self, *, dn: str = SERVICE.dn, password: str = SERVICE.password) -> LdapUtils:
        """Return tools that are bound as somebody, over ldap:// without TLS."""
        return LdapUtils(
            ldapmodify=self._ldapmodify,
            url=self.url,
            dn=dn,
            password=password,
            ca_file=self.ca_file,
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _admin(self) -> LdapUtils:
        return self.client(dn=self._admin_dn, password=self._admin_password)

    def _answers(self, process: Process, pid_file: Path) -> bool:
        # Asked first: on our port may be somebody else.
        if pid_file.read_text().strip() != str(process.pid):
            return False
        try:
            return bool(replace(self._admin(), within=_PROBE_SECONDS).whoami())
        except (LdapFailed, subprocess.TimeoutExpired):
            return False
