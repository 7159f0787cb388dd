"""ns-slapd, the 389 Directory Server, with people of the tests' own in it."""

import subprocess
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    NoEncryption,
    load_pem_private_key,
    pkcs12,
)

from tests.kit.directory_tree import BASE, PEOPLE_BASE, DirectoryPerson, entries
from tests.kit.install.binaries import OpenLdap, Server389
from tests.kit.servers.certificates import CertificateAuthority, ServerCertificate
from tests.kit.servers.directory_server import DirectoryServer
from tests.kit.servers.ns_slapd_config import (
    ADMIN_DN,
    ADMIN_PASSWORD,
    BACKEND,
    READER_ACI,
    write_configuration,
)
from tests.kit.servers.process import Process, ServerFailed

DISABLED = DirectoryPerson(
    uid="disabled", cn="Disabled Person", mail=["disabled@example.org"], base=PEOPLE_BASE
)

# The name of the certificate in the server's configuration.
_NICKNAME = b"Server-Cert"
_TOOL_SECONDS = 30


class NsSlapd(DirectoryServer):
    """The 389 Directory Server. Of its people `DISABLED` is kept out, by result 53.

    An entry's groups are its `memberOf`, those that it is in through others too.
    """

    def __init__(
        self,
        programs: Server389,
        *,
        openldap: OpenLdap,
        directory: Path,
        ca: CertificateAuthority,
    ) -> None:
        """Choose ports; `directory` is made if absent. Clients are those of OpenLDAP."""
        super().__init__(
            directory=directory,
            ldapmodify=openldap.ldapmodify,
            admin_dn=ADMIN_DN,
            admin_password=ADMIN_PASSWORD,
        )
        self._programs = programs
        self._ca = ca
        self._process: Process | None = None
        self.log = directory / "ns-slapd.log"

    def start(self) -> None:
        """Start, and wait until everybody is in it; raises `ServerFailed` after 60 s."""
        config = self._directory / "config"
        pid_file = self._directory / "run" / "pid"
        is_new = not config.exists()
        if is_new:
            write_configuration(self._directory, port=self._port, tls_port=self._tls_port)
            self._ca.write(self.ca_file)
            self._import(self._ca.issue(self._directory / "certificate"), config)
        # Any level at all keeps it in the foreground.
        process = self._process = Process(
            [self._programs.ns_slapd, "-D", config, "-i", pid_file, "-d", "0"], log=self.log
        )
        process.wait_until(lambda: self._answers(process, pid_file), within=60)
        if is_new:
            self.add_all([*BACKEND, *entries(), (DISABLED.dn, DISABLED.attributes)])
            self.modify(BASE, "add", {"aci": [READER_ACI]})
            self.lock(DISABLED.dn)

    def stop(self) -> None:
        """Stop it, within 30 s; harmless when it does not run."""
        if self._process is not None:
            self._process.stop(within=30)
            self._process = None

    def lock(self, dn: str) -> None:
        """Lock an account until `unlock`, as its administrator would."""
        self.modify(dn, "replace", {"nsAccountLock": ["true"]})

    def unlock(self, dn: str) -> None:
        """Let an account in again."""
        self.modify(dn, "replace", {"nsAccountLock": []})

    def _import(self, served: ServerCertificate, config: Path) -> None:
        """Put the certificate into a database of NSS, the only place it is taken from."""
        bundle = config / "server.p12"
        bundle.write_bytes(_pkcs12(served))
        database = ["-d", f"sql:{config}"]
        self._run(self._programs.certutil, "-N", *database, "--empty-password")
        self._run(self._programs.pk12util, "-i", str(bundle), *database, *("-K", ""), *("-W", ""))

    def _run(self, tool: Path, *arguments: str) -> None:
        answer = subprocess.run(
            [tool, *arguments], capture_output=True, text=True, timeout=_TOOL_SECONDS
        )
        if answer.returncode:
            raise ServerFailed(f"{tool.name} ended with {answer.returncode}: {answer.stderr}")


def _pkcs12(served: ServerCertificate) -> bytes:
    own, *above = x509.load_pem_x509_certificates(served.certificate.read_bytes())
    key = load_pem_private_key(served.key.read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return pkcs12.serialize_key_and_certificates(_NICKNAME, key, own, above, NoEncryption())
