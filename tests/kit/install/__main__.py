"""`python -m tests.kit.install`: bring every server that the tests need onto this machine."""

import fcntl
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TextIO

from tests.kit.install.binaries import (
    HEADLESS_SHELL,
    Binaries,
    OpenLdap,
    Server389,
    ServersMissing,
    cache_directory,
    find_binaries,
    find_chromium,
    find_openldap,
    find_server,
    find_server_389,
)
from tests.kit.install.build import BuildFailed, build, etcd, helm, kubernetes
from tests.kit.install.debian import (
    CHROMIUM,
    SERVER_389,
    SLAPD,
    PackagesNotInstalled,
    install_packages,
)
from tests.kit.install.golang import GoMissing, find_or_install_go
from tests.kit.install.peers import (
    Peers,
    build_go_oidc,
    find_peers,
    has_go_oidc,
    has_node_modules,
    install_node_modules,
)


def install() -> None:
    """Install what is missing. Two runs at once take turns; the second finds everything there."""
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        _wait_for(lock)
        # We hold the lock, so these are leftovers of a run that was killed.
        for leftover in cache.glob("building-*"):
            shutil.rmtree(leftover)
        _install_browser()
        _install_packages()
        if find_server("etcd") is None:
            build(etcd(), go=find_or_install_go())
        if find_server("kube-apiserver") is None or find_server("kubectl") is None:
            build(kubernetes(), go=find_or_install_go())
        if find_server("helm") is None:
            build(helm(), go=find_or_install_go())
        if not has_go_oidc():
            build_go_oidc(go=find_or_install_go())
        if not has_node_modules():
            install_node_modules()


def _install_browser() -> None:
    """Bring the headless shell; where it cannot be had, a Chromium that is there will do."""
    if os.environ.get("CHROMIUM") or HEADLESS_SHELL.exists():
        return
    try:
        install_packages([CHROMIUM])
    except PackagesNotInstalled:
        if find_chromium() is None:
            raise


def _install_packages() -> None:
    missing = []
    for find, packages in ((find_openldap, SLAPD), (find_server_389, SERVER_389)):
        try:
            find()
        except ServersMissing:
            missing.append(packages)
    if missing:
        install_packages(missing)


def _wait_for(lock: TextIO) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("another run is installing: waiting for it", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


def _places(programs: Binaries | OpenLdap | Server389 | Peers) -> Sequence[tuple[str, Path]]:
    names = [field.name for field in fields(programs)]
    return [(name.replace("_", "-"), getattr(programs, name)) for name in names]


def main() -> int:
    """Install, print where everything is, and return the exit status."""
    try:
        install()
        programs = (find_binaries(), find_openldap(), find_server_389(), find_peers())
        found = [place for each in programs for place in _places(each)]
    except (BuildFailed, GoMissing, PackagesNotInstalled, ServersMissing) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    for name, path in found:
        print(f"{name:15} {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
