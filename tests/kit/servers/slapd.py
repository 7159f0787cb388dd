"""slapd, OpenLDAP's directory server, with people of the tests' own in it."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from tests.kit.directory_tree import entries
from tests.kit.install.binaries import OpenLdap
from tests.kit.servers import ldap_utils, slapd_policy
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.directory_server import DirectoryServer
from tests.kit.servers.process import Process
from tests.kit.servers.slapd_config import (
    ADMIN_DN,
    ADMIN_PASSWORD,
    DATABASE_DN,
    SIZE_LIMIT,
    slapd_conf,
)
from tests.kit.servers.slapd_log import Operation, OperationLog

_SETTLED_SECONDS = 10


class Slapd(DirectoryServer):
    """OpenLDAP. In `tests.kit.servers.slapd_policy` are more people: whom its policy keeps out.

    An entry's groups are its `memberOf`, those that it is in directly.
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
        super().__init__(
            directory=directory,
            ldapmodify=programs.ldapmodify,
            admin_dn=ADMIN_DN,
            admin_password=ADMIN_PASSWORD,
        )
        self._program = programs.slapd
        self._ca = ca
        self._client_certificates = client_certificates
        self._process: Process | None = None
        self._pid_file = directory / "slapd.pid"
        self.log = directory / "slapd.log"

    def start(self) -> None:
        """Start, and wait until everybody is in it; raises `ServerFailed` after a minute."""
        is_new = not self._directory.joinpath("slapd.conf").exists()
        if is_new:
            self._configure()
        process = self._process = Process(
            [
                self._program,
                *("-f", self._directory / "slapd.conf"),
                *("-h", f"{self.url} {self.tls_url}"),
                # Stays in the foreground, and writes its operations to our file.
                *("-d", "stats"),
            ],
            log=self.log,
        )
        process.wait_until(lambda: self._answers(process, self._pid_file), within=60)
        if is_new:
            self.add_all([*entries(), *slapd_policy.entries()])
            # What the policy itself would write one day: only by leave of the relax control.
            self._admin().change(slapd_policy.past_ldif(), controls=["!relax"])

    def stop(self) -> None:
        """Stop it, within 30 s; harmless when it does not run."""
        if self._process is not None:
            self.resume()
            self._process.stop(within=30)
            self._process = None

    def pause(self) -> None:
        """From now on connections are accepted (by the kernel) and nothing is ever answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`, with what came meanwhile."""
        self._signal(signal.SIGCONT)

    def lock(self, dn: str) -> None:
        """Lock an account until `unlock`, as its administrator would."""
        self.modify(dn, "replace", {"pwdAccountLockedTime": [slapd_policy.LOCKED_FOR_EVER]})

    def unlock(self, dn: str) -> None:
        """Let an account in again."""
        self.modify(dn, "replace", {"pwdAccountLockedTime": []})

    @contextlib.contextmanager
    def size_limit(self, entries: int) -> Iterator[None]:
        """Return no more entries than this to anybody, whether in one answer or in pages."""
        self._set_size_limit(entries)
        try:
            yield
        finally:
            self._set_size_limit(SIZE_LIMIT)

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

    def _set_size_limit(self, entries: int) -> None:
        limits = {"olcSizeLimit": [str(entries)]}
        self._admin().change(ldap_utils.ldif_modified(DATABASE_DN, "replace", limits))

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError("slapd does not run")
        os.kill(self._process.pid, number)

    def _operation_log(self) -> OperationLog:
        return OperationLog(self.log.read_text(errors="backslashreplace"))
