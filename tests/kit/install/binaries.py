"""Where the real servers are: `$KUBEBUILDER_ASSETS`, then `PATH`, then our own cache."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

KUBERNETES_VERSION = "v1.34.4"
ETCD_VERSION = "v3.6.5"
HELM_VERSION = "v4.3.1"
HEADLESS_SHELL = Path("/usr/bin/chromium-headless-shell")

# What a version must be to be used, by program. kube-apiserver 1.30 reads an
# AuthenticationConfiguration without a feature gate; each kubectl speaks to one minor version more.
_OLDEST = {"kube-apiserver": (1, 30), "kubectl": (1, 31), "etcd": (3, 5), "helm": (4, 0)}
_VERSION_ARGUMENTS = {
    "kube-apiserver": ("--version",),
    "kubectl": ("version", "--client"),
    "etcd": ("--version",),
    "helm": ("version", "--template", "helm version: {{.Version}}"),
}
_VERSION = re.compile(
    r"(?:Kubernetes|Client Version:|etcd Version:|helm version:) v?(\d+)\.(\d+)\.\d+$", re.M
)


class ServersMissing(Exception):
    """A server that the tests need is not on this machine; the text names it and the way out."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs that the tests start, each an existing executable."""

    kube_apiserver: Path
    etcd: Path
    helm: Path
    kubectl: Path
    chromium: Path


@dataclass(frozen=True, slots=True)
class OpenLdap:
    """The directory server and the client that changes it; the other clients lie beside that."""

    slapd: Path
    ldapmodify: Path


@dataclass(frozen=True, slots=True)
class Server389:
    """The 389 Directory Server, and what puts a certificate where it reads one."""

    ns_slapd: Path
    certutil: Path
    pk12util: Path


def cache_directory() -> Path:
    """Return the directory that outlives test runs, from `$KUBE_IDP_CACHE` if that is set."""
    configured = os.environ.get("KUBE_IDP_CACHE")
    return Path(configured) if configured else Path.home() / ".cache" / "kube-idp"


def kubernetes_directory() -> Path:
    """Return where our own kube-apiserver and kubectl are, or will be."""
    return cache_directory() / f"kubernetes-{KUBERNETES_VERSION}"


def etcd_directory() -> Path:
    """Return where our own etcd is, or will be."""
    return cache_directory() / f"etcd-{ETCD_VERSION}"


def helm_directory() -> Path:
    """Return where our own helm is, or will be."""
    return cache_directory() / f"helm-{HELM_VERSION}"


def find_binaries() -> Binaries:
    """Return all servers, or raise `ServersMissing` naming every one that is not there."""
    found = {name: find_server(name) for name in _OLDEST} | {"chromium": find_chromium()}
    missing = sorted(name for name, path in found.items() if path is None)
    if missing:
        raise ServersMissing(f"not installed: {', '.join(missing)}; run `make test-setup`")
    present = {name: path for name, path in found.items() if path is not None}
    return Binaries(
        kube_apiserver=present["kube-apiserver"],
        etcd=present["etcd"],
        helm=present["helm"],
        kubectl=present["kubectl"],
        chromium=present["chromium"],
    )


def find_server(name: str) -> Path | None:
    """Return kube-apiserver, etcd, kubectl or helm in a released version new enough, or None."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    on_path = shutil.which(name)
    own = {"etcd": etcd_directory, "helm": helm_directory}.get(name, kubernetes_directory)()
    candidates = [Path(assets) / name] if assets else []
    candidates += [Path(on_path)] if on_path else []
    candidates.append(own / name)
    return next((path for path in candidates if is_usable(name, path)), None)


def find_chromium() -> Path | None:
    """Return the browser named by `$CHROMIUM`, or Chromium's headless shell, or Chromium, or None.

    The shell is the same engine without the windows around it, and takes a quarter of the CPU time.

    Raises `ServersMissing` if the variable names nothing that can be run.
    """
    configured = os.environ.get("CHROMIUM")
    if configured and not os.access(configured, os.X_OK):
        raise ServersMissing(f"$CHROMIUM is {configured}, which is no program: correct or unset it")
    candidates = [configured, str(HEADLESS_SHELL), "/usr/bin/chromium", shutil.which("chromium")]
    return next((Path(name) for name in candidates if name and os.access(name, os.X_OK)), None)


def find_openldap() -> OpenLdap:
    """Return OpenLDAP's programs, or raise `ServersMissing` naming what is not there."""
    slapd, ldapmodify = _find_debian("slapd", "ldapmodify")
    return OpenLdap(slapd, ldapmodify)


def find_server_389() -> Server389:
    """Return the programs of 389 Directory Server, or raise `ServersMissing` as above."""
    ns_slapd, certutil, pk12util = _find_debian("ns-slapd", "certutil", "pk12util")
    return Server389(ns_slapd, certutil, pk12util)


def is_usable(name: str, path: Path) -> bool:
    """Ask a program for its version; only a plain `X.Y.Z` counts, a vendor's own build does not."""
    if not os.access(path, os.X_OK):
        return False
    try:
        answer = subprocess.run(
            [path, *_VERSION_ARGUMENTS[name]], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    found = _VERSION.search(answer.stdout)
    return found is not None and (int(found[1]), int(found[2])) >= _OLDEST[name]


def _find_debian(*names: str) -> Sequence[Path]:
    # Servers are seldom on the `PATH` of a person.
    path = os.pathsep.join(["/usr/sbin", "/usr/bin", os.environ.get("PATH", "")])
    found = {name: shutil.which(name, path=path) for name in names}
    missing = [name for name, place in found.items() if place is None]
    if missing:
        raise ServersMissing(f"not installed: {', '.join(missing)}; run `make test-setup`")
    return [Path(place) for place in found.values() if place is not None]
