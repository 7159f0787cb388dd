"""kube-apiserver over an etcd: real authentication, real RBAC, nothing that runs pods."""

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.kit.install.binaries import Binaries
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.etcd import Etcd
from tests.kit.servers.kubectl import Answer, Kubectl, bearer_user, write_kubeconfig
from tests.kit.servers.process import Process, free_port

_START_SECONDS = 60
_STOP_SECONDS = 30
# It promises nothing about how soon it answers; this only ends what hangs.
_ANSWER_SECONDS = 30


class KubeApiServer:
    """One API server. Entering starts it; `restart` changes its flags; the port stays.

    `authentication_config` is an AuthenticationConfiguration; it cannot be had together with
    `--oidc-*` flags. With `audit_level` (`Metadata`, `Request`, ...) it keeps an audit log.
    """

    def __init__(
        self,
        binaries: Binaries,
        *,
        etcd: Etcd,
        ca: CertificateAuthority,
        directory: Path,
        extra_flags: Sequence[str] = (),
        authentication_config: Mapping[str, object] | None = None,
        audit_level: str | None = None,
    ) -> None:
        """Write keys, certificates and the administrator's kubeconfig into `directory`."""
        directory.mkdir(parents=True, exist_ok=True)
        self._executable = binaries.kube_apiserver
        self._etcd = etcd
        self._directory = directory
        self._extra_flags = tuple(extra_flags)
        self._authentication_config = authentication_config
        self._process: Process | None = None
        self._port = free_port()
        self._serving = ca.issue(directory / "serving")
        self._kubectl = Kubectl(binaries.kubectl, home=directory / "home")
        self._audit_flags = _audit_flags(directory, audit_level) if audit_level else []
        _write_service_account_keys(directory)
        self.url = f"https://127.0.0.1:{self._port}"
        self.log = directory / "kube-apiserver.log"
        self.audit_log = directory / "audit.log"
        self.ca = ca
        self.ca_file = ca.write(directory / "ca.crt")
        self.admin_token = secrets.token_urlsafe(24)
        (directory / "tokens.csv").write_text(f"{self.admin_token},admin,admin,system:masters\n")
        self.admin_kubeconfig = self.write_kubeconfig(
            directory / "admin.kubeconfig", user=bearer_user(self.admin_token)
        )

    def start(self) -> None:
        """Start and wait until `/readyz` says ok; raises `ServerFailed` after a minute."""
        flags = [*self._flags(), *self._audit_flags, *self._extra_flags]
        if self._authentication_config is not None:
            path = self.write_authentication_config(self._authentication_config)
            flags.append(f"--authentication-config={path}")
        self._process = Process([self._executable, *flags], log=self.log)
        with self.client(self.admin_token) as client:
            self._process.wait_until(
                lambda: client.get("/readyz").status_code == 200, within=_START_SECONDS
            )

    def stop(self) -> None:
        """Stop it in good order; harmless when it does not run."""
        if self._process is not None:
            self._process.stop(within=_STOP_SECONDS)
            self._process = None

    def start_unless_running(self) -> None:
        """Start it if nobody has yet, for those who need any API server at all."""
        if self._process is None:
            self.start()

    def restart(
        self,
        *,
        extra_flags: Sequence[str] = (),
        authentication_config: Mapping[str, object] | None = None,
    ) -> None:
        """Start anew with these flags and this file in place of the former ones."""
        self.stop()
        self._extra_flags = tuple(extra_flags)
        self._authentication_config = authentication_config
        self.start()

    def write_authentication_config(self, config: Mapping[str, object]) -> Path:
        """Replace the file of a running server, which takes it some seconds later.

        A change is taken only when discovery of every new issuer works: poll with `whoami`.
        """
        path = self._directory / "authentication.json"
        fresh = path.with_suffix(".fresh")
        fresh.write_text(json.dumps(config))
        return fresh.replace(path)

    def client(self, token: str | None = None) -> httpx.Client:
        """Return an HTTP client that trusts the server, with a bearer token if one is given."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.Client(
            base_url=self.url,
            verify=self.ca.client_context(),
            headers=headers,
            trust_env=False,
            timeout=_ANSWER_SECONDS,
        )

    def whoami(self, token: str) -> Mapping[str, object] | None:
        """Return the `userInfo` that the server makes of a token, None when it refuses (401)."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        with self.client(token) as client:
            answer = client.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json=review)
        if answer.status_code == 401:
            return None
        user_info = answer.raise_for_status().json()["status"]["userInfo"]
        return dict(user_info)

    def kubectl(
        self,
        *arguments: str,
        kubeconfig: Path | None = None,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Answer:
        """Run kubectl, as the administrator unless another kubeconfig is given."""
        return self._kubectl(
            *arguments, kubeconfig=kubeconfig or self.admin_kubeconfig, stdin=stdin, env=env
        )

    def write_kubeconfig(self, path: Path, *, user: Mapping[str, object]) -> Path:
        """Write a kubeconfig for this server; `tests.kit.servers.kubectl` makes users."""
        return write_kubeconfig(path, server=self.url, ca_file=self.ca_file, user=user)

    def audit_events(self) -> list[Mapping[str, object]]:
        """Return what the audit log holds so far; empty without `audit_level`."""
        text = self.audit_log.read_text() if self.audit_log.exists() else ""
        # The last line may be half written.
        whole, _, _ = text.rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _flags(self) -> list[str]:
        here = self._directory
        return [
            f"--etcd-servers={self._etcd.url}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            f"--secure-port={self._port}",
            f"--cert-dir={here / 'certs'}",
            f"--tls-cert-file={self._serving.certificate}",
            f"--tls-private-key-file={self._serving.key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={here / 'service-account.pub'}",
            f"--service-account-signing-key-file={here / 'service-account.key'}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=RBAC",
            f"--token-auth-file={here / 'tokens.csv'}",
            # Without a controller manager no namespace ever gets its service account.
            "--disable-admission-plugins=ServiceAccount",
            "--shutdown-delay-duration=0s",
            # Otherwise an open watch over HTTP/1.1 keeps it from ending for a minute.
            "--shutdown-watch-termination-grace-period=1s",
            "--profiling=false",
        ]


def _write_service_account_keys(directory: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    private = directory / "service-account.key"
    private.touch(mode=0o600)
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (directory / "service-account.pub").write_bytes(public)


def _audit_flags(directory: Path, level: str) -> list[str]:
    policy = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "rules": [{"level": level}],
    }
    (directory / "audit-policy.json").write_text(json.dumps(policy))
    return [
        f"--audit-policy-file={directory / 'audit-policy.json'}",
        f"--audit-log-path={directory / 'audit.log'}",
        # Megabytes before it begins a new file, which nobody would look into.
        "--audit-log-maxsize=4096",
    ]
