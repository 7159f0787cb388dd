"""Builds kube-apiserver, kubectl, etcd and Helm from their Go modules, once, into the cache."""

import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.kit.install.binaries import (
    ETCD_VERSION,
    HELM_VERSION,
    KUBERNETES_VERSION,
    etcd_directory,
    helm_directory,
    kubernetes_directory,
)
from tests.kit.install.golang import go_environment

_STAGED = re.compile(r"^\s*(k8s\.io/\S+) => \./staging/", re.M)


class BuildFailed(Exception):
    """A server could not be built; what the compiler said was printed before."""


@dataclass(frozen=True, slots=True)
class Program:
    """A module with main packages, and the directory that its binaries are kept in."""

    module: str
    version: str
    packages: tuple[str, ...]
    directory: Path
    variables: tuple[str, ...] = ()


def kubernetes() -> Program:
    """Return kube-apiserver and kubectl, told their version: else Helm and kubectl complain."""
    _, minor, _ = KUBERNETES_VERSION.split(".")
    told = (f"gitVersion={KUBERNETES_VERSION}", "gitMajor=1", f"gitMinor={minor}")
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return Program(
        module="k8s.io/kubernetes",
        version=KUBERNETES_VERSION,
        packages=("k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes/cmd/kubectl"),
        directory=kubernetes_directory(),
        variables=tuple(f"{package}.{value}" for package in packages for value in told),
    )


def etcd() -> Program:
    """Return etcd, whose server module is itself the main package."""
    module = "go.etcd.io/etcd/server/v3"
    return Program(module, ETCD_VERSION, packages=(module,), directory=etcd_directory())


def helm() -> Program:
    """Return Helm, told its version: it would call itself an unreleased one."""
    module = "helm.sh/helm/v4"
    return Program(
        module,
        HELM_VERSION,
        packages=(f"{module}/cmd/helm",),
        directory=helm_directory(),
        variables=(f"{module}/internal/version.version={HELM_VERSION}",),
    )


def build(program: Program, *, go: Path) -> None:
    """Build a program into its directory, which appears whole or not at all.

    Needs some minutes for Kubernetes on two cores and runs at low priority. Raises `BuildFailed`.
    """
    began = time.monotonic()
    print(f"{program.module} {program.version}: building with {go}, takes minutes", flush=True)
    building = Path(tempfile.mkdtemp(prefix="building-", dir=program.directory.parent))
    try:
        source, binaries = building / "source", building / "binaries"
        source.mkdir()
        binaries.mkdir()
        (source / "go.mod").write_text(_go_mod(program, go=go, cwd=source))
        flags = " ".join(["-s", "-w", *(f"-X {variable}" for variable in program.variables)])
        for package in program.packages:
            target = binaries / _binary_name(package)
            _go(go, ["build", "-ldflags", flags, "-o", str(target), package], cwd=source)
        # Only a build that was tampered with can be there: a whole one would have been used.
        shutil.rmtree(program.directory, ignore_errors=True)
        binaries.rename(program.directory)
    finally:
        shutil.rmtree(building)
    print(f"{program.module}: built in {time.monotonic() - began:.0f} s", flush=True)


def _binary_name(package: str) -> str:
    return "etcd" if package == "go.etcd.io/etcd/server/v3" else package.rsplit("/", 1)[1]


def _go_mod(program: Program, *, go: Path, cwd: Path) -> str:
    """Write the module that requires the program.

    Kubernetes names its own parts by paths in its tree (`./staging/...`), which only its own
    repository can follow; each is published as a module of the same minor version under v0.
    """
    module = f"{program.module}@{program.version}"
    answer = json.loads(_go(go, ["mod", "download", "-json", module], cwd=cwd))
    published = program.version.replace("v1.", "v0.", 1)
    staged = _STAGED.findall(Path(answer["GoMod"]).read_text())
    lines = [
        "module kube-idp.dev/tests",
        "go 1.24.0",
        f"require {program.module} {program.version}",
    ]
    lines += [f"replace {name} => {name} {published}" for name in staged]
    return "\n".join(lines) + "\n"


def _go(go: Path, arguments: Sequence[str], *, cwd: Path) -> str:
    """Run `go`; its messages go to the terminal, its answer is returned."""
    command = ["nice", "-n", "10", str(go), *arguments]
    answer = subprocess.run(
        command, cwd=cwd, env=go_environment(), stdout=subprocess.PIPE, text=True
    )
    if answer.returncode:
        raise BuildFailed(f"`{' '.join(command)}` ended with {answer.returncode}; see above")
    return answer.stdout
