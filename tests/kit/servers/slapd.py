"""slapd, OpenLDAP's directory server, with people of the tests' own in it."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from tests.kit.directory_tree import BASE, SERVICE, Attributes, entries
from tests.kit.install.binaries import OpenLdap
from tests.kit.servers import ldap_utils, slapd_policy
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.ldap_utils import Entry, LdapFailed, LdapUtils
from tests.kit.servers.process import Process, free_port
from tests.kit.servers.slapd_config import (
    ADMIN_DN,
    ADMIN_PASSWORD,
    DATABASE_DN,
    SIZE_LIMIT,
    slapd_conf,
)
from tests.kit.servers.slapd_log import Operation, OperationLog

_SETTLED_SECONDS = 10


class Slapd:
    """A directory on ldap:// (with StartTLS) and ldaps://. Entering starts it.

    Its people are in `tests.kit.directory_tree`, and in `tests.kit.servers.slapd_policy` those that
    its password policy keeps out. Ports and data outlive `stop` and `start`. Anonymous reads
    nothing, a person who is bound neither; `SERVICE` reads everything but passwords.
    """

    def __init__(
        self,
        programs: OpenLdap,
        *,
        directory: Path,
        ca: CertificateAuthority,
        client_certificates: Literal["never", "demand"] = "never",
    ) -> None:
        """Choose ports; `directory` is made if absent and holds data, certificate and log."""
        self._programs = programs
        self._directory = directory
        self._ca = ca
        self._client_certificates = client_certificates
        self._process: Process | None = None
        self.host = f"127.0.0.1:{free_port()}"
        self.tls_host = f"127.0.0.1:{free_port()}"
        self.url = f"ldap://{self.host}"
        self.tls_url = f"ldaps://{self.tls_host}"
        self.ca_file = directory / "ca.crt"
        self.log = directory / "slapd.log"
        self._pid_file = directory / "slapd.pid"

    def start(self) -> None:
        """Start, and wait until everybody is in it; raises `ServerFailed` after 20 s."""
        is_new = not self._directory.joinpath("slapd.conf").exists()
        if is_new:
            self._configure()
        self._process = Process(
            [
                self._programs.slapd,
                *("-f", self._directory / "slapd.conf"),
                *("-h", f"{self.url} {self.tls_url}"),
                # Stays in the foreground, and writes its operations to our file.
                *("-d", "stats"),
            ],
            log=self.log,
        )
        self._process.wait_until(self._answers, within=20)
        if is_new:
            added = [*entries(), *slapd_policy.entries()]
            self._admin().change("".join(ldap_utils.ldif_added(*entry) for entry in added))
            # What the policy itself would write one day: only by leave of the relax control.
            self._admin().change(slapd_policy.past_ldif(), controls=["!relax"])

    def stop(self) -> None:
        """Stop it, within 10 s; harmless when it does not run."""
        if self._process is not None:
            self.resume()
            self._process.stop(within=10)
            self._process = None

    def restart(self) -> None:
        """Stop and start: connections are gone, ports and data are not."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """From now on connections are accepted (by the kernel) and nothing is ever answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`, with what came meanwhile."""
        self._signal(signal.SIGCONT)

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

    def lock(self, dn: str) -> None:
        """Lock an account until `unlock`, as its administrator would."""
        self.modify(dn, "replace", {"pwdAccountLockedTime": [slapd_policy.LOCKED_FOR_EVER]})

    def unlock(self, dn: str) -> None:
        """Let an account in again."""
        self.modify(dn, "replace", {"pwdAccountLockedTime": []})

    def search(self, filter: str, *, base: str = BASE) -> Mapping[str, Entry]:
        """Return entries as the administrator sees them, operational attributes with them."""
        return self._admin().search(filter, base=base, attributes=("*", "+"))

    @contextlib.contextmanager
    def size_limit(self, entries: int) -> Iterator[None]:
        """Return no more entries than this to anybody, whether in one answer or in pages."""
        self._set_size_limit(entries)
        try:
            yield
        finally:
            self._set_size_limit(SIZE_LIMIT)

    def client(self, *, dn: str = SERVICE.dn, password: str = SERVICE.password) -> LdapUtils:
        """Return tools that are bound as somebody, over ldap:// without TLS."""
        return LdapUtils(
            ldapmodify=self._programs.ldapmodify,
            url=self.url,
            dn=dn,
            password=password,
            ca_file=self.ca_file,
        )

    def mark(self) -> int:
        """Return how many operations there were so far, for `operations`."""
        return len(self._operation_log().operations)

    def operations(self, *, since: int = 0) -> Sequence[Operation]:
        """Return what was asked since a mark and answered, this class's own changes left out.

        Waits until the result of everything that began is written down, which slapd does after it
        sent it; what is never answered is waited for 10 s and has no result.
        """
        deadline = time.monotonic() + _SETTLED_SECONDS
        while not (log := self._operation_log()).is_settled and time.monotonic() < deadline:
            time.sleep(0.02)
        asked = log.operations[since:]
        return [each for each in asked if ADMIN_DN not in (each.dn, each.bound_as)]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _configure(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        data = self._directory / "data"
        data.mkdir()
        text = slapd_conf(
            data=data,
            pid_file=self._pid_file,
            served=self._ca.issue(self._directory / "certificate"),
            ca_file=self._ca.write(self.ca_file),
            client_certificates=self._client_certificates,
        )
        self._directory.joinpath("slapd.conf").write_text(text)

    def _admin(self) -> LdapUtils:
        return self.client(dn=ADMIN_DN, password=ADMIN_PASSWORD)

    def _answers(self) -> bool:
        # Asked first: on our port may be somebody else.
        if self._process is None or self._pid_file.read_text() != f"{self._process.pid}\n":
            return False
        try:
            return self._admin().whoami() == f"dn:{ADMIN_DN}"
        except LdapFailed:
            return False

    def _set_size_limit(self, entries: int) -> None:
        limits = {"olcSizeLimit": [str(entries)]}
        self._admin().change(ldap_utils.ldif_modified(DATABASE_DN, "replace", limits))

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError("slapd does not run")
        os.kill(self._process.pid, number)

    def _operation_log(self) -> OperationLog:
        return OperationLog(self.log.read_text(errors="backslashreplace"))
