"""People at a terminal, who run `idp`: with a kubeconfig and rights of their own, or on a file."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.kit.servers.chart_role import account_kubeconfig
from tests.kit.servers.kubectl import Answer
from tests.kit.servers.kubernetes_store import KubernetesStore
from tests.kit.servers.rbac import Rule, wait_for_rules


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a kubeconfig, who runs `idp`."""

    home: Path
    kubeconfig: Path

    def __call__(self, *arguments: str, env: Mapping[str, str] | None = None) -> Answer:
        """Run a command to its end."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "idp", *arguments],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.home),
                "KUBECONFIG": str(self.kubeconfig),
                **(env or {}),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return Answer(" ".join(["idp", *arguments]), done.returncode, done.stdout, done.stderr)


def run_beside(directory: Path, *arguments: str) -> Answer:
    """Run a command to its end on the `config.yaml` of a provider that runs in a directory."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "idp", *arguments, "--config", "config.yaml"],
        cwd=directory,
        env={"PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Answer(" ".join(["idp", *arguments]), done.returncode, done.stdout, done.stderr)


def person_with(store: KubernetesStore, name: str, rules: Sequence[Rule], home: Path) -> Person:
    """Return somebody who may do exactly this in the namespace of a store."""
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": name}}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": store.namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    store.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
        {**role, "kind": "Role", "rules": [dict(rule) for rule in rules]},
        {**role, "kind": "RoleBinding", "subjects": [subject], "roleRef": reference},
    )
    wait_for_rules(store.kube, namespace=store.namespace, account=name, rules=rules)
    kubeconfig = account_kubeconfig(
        store.kube, home / f"{name}.kubeconfig", namespace=store.namespace, account=name
    )
    return Person(home, kubeconfig)
