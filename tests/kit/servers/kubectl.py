"""kubectl as a person runs it: a command, a kubeconfig, an answer."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml


class KubectlFailed(Exception):
    """A command that had to succeed did not; the text is the command and what it said."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command answered."""

    command: str
    status: int
    stdout: str
    stderr: str

    def check(self) -> str:
        """Return the output of a command that succeeded; raises `KubectlFailed`."""
        if self.status:
            raise KubectlFailed(f"`{self.command}` ended with {self.status}:\n{self.stderr}")
        return self.stdout

    def document(self) -> dict[str, object]:
        """Return the output of a command that ran with `-o json`; raises `KubectlFailed`."""
        document = json.loads(self.check())
        if not isinstance(document, dict):
            raise KubectlFailed(f"`{self.command}` answered no object:\n{self.stdout}")
        return document


@dataclass(frozen=True, slots=True)
class Kubectl:
    """The program, with a home of its own, so that nobody's cache or kubeconfig is used."""

    executable: Path
    home: Path

    def __call__(
        self,
        *arguments: str,
        kubeconfig: Path,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
        within: float = 60,
    ) -> Answer:
        """Run one command to its end; `subprocess.TimeoutExpired` after `within` seconds.

        Safe to call from several threads at once, each call is a process.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        answer = subprocess.run(
            [self.executable, *arguments],
            input=stdin if stdin is not None else "",
            env={
                **os.environ,
                "HOME": str(self.home),
                "KUBECONFIG": str(kubeconfig),
                **(env or {}),
            },
            capture_output=True,
            text=True,
            timeout=within,
        )
        return Answer(
            " ".join(["kubectl", *arguments]), answer.returncode, answer.stdout, answer.stderr
        )


def bearer_user(token: str) -> Mapping[str, object]:
    """Return a kubeconfig's user that sends one token."""
    return {"token": token}


def oidc_user(config: Mapping[str, str]) -> Mapping[str, object]:
    """Return a kubeconfig's user of kubectl's own `oidc` provider, which refreshes by itself.

    The keys are kubectl's: `idp-issuer-url`, `idp-certificate-authority-data`, `client-id`,
    `client-secret`, `id-token`, `refresh-token`.
    """
    return {"auth-provider": {"name": "oidc", "config": dict(config)}}


def kept_tokens(kubeconfig: Path) -> Mapping[str, str]:
    """Return what the `oidc` provider keeps in a kubeconfig, which kubectl rewrites as YAML."""
    user = yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]
    kept = user["auth-provider"]["config"]
    return {str(key): str(value) for key, value in kept.items()}


def exec_user(command: str, *arguments: str) -> Mapping[str, object]:
    """Return a kubeconfig's user that asks a credential plugin."""
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": command,
            "args": list(arguments),
            "interactiveMode": "Never",
        }
    }


def write_kubeconfig(
    path: Path,
    *,
    server: str,
    ca_file: Path,
    user: Mapping[str, object],
    namespace: str = "default",
) -> Path:
    """Write a kubeconfig of one cluster and one user, readable by its owner only.

    It is JSON, which is YAML too.
    """
    context = {"cluster": "test", "user": "test", "namespace": namespace}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": context}],
        "clusters": [
            {"name": "test", "cluster": {"server": server, "certificate-authority": str(ca_file)}}
        ],
        "users": [{"name": "test", "user": dict(user)}],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(document, indent=2))
    return path
