"""`python -m tests.kit.install`: bring every server that the tests need onto this machine."""

import fcntl
import shutil
import sys
from dataclasses import fields
from typing import TextIO

from tests.kit.install.binaries import (
    ServersMissing,
    cache_directory,
    find_binaries,
    find_chromium,
    find_server,
)
from tests.kit.install.build import BuildFailed, build, etcd, helm, kubernetes
from tests.kit.install.debian import ChromiumNotInstalled, install_chromium
from tests.kit.install.golang import GoMissing, find_or_install_go


def install() -> None:
    """Install what is missing. Two runs at once take turns; the second finds everything there."""
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        _wait_for(lock)
        # We hold the lock, so these are leftovers of a run that was killed.
        for leftover in cache.glob("building-*"):
            shutil.rmtree(leftover)
        if find_chromium() is None:
            install_chromium()
        if find_server("etcd") is None:
            build(etcd(), go=find_or_install_go())
        if find_server("kube-apiserver") is None or find_server("kubectl") is None:
            build(kubernetes(), go=find_or_install_go())
        if find_server("helm") is None:
            build(helm(), go=find_or_install_go())


def _wait_for(lock: TextIO) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("another run is installing: waiting for it", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


def main() -> int:
    """Install, print where everything is, and return the exit status."""
    try:
        install()
        found = find_binaries()
    except (BuildFailed, ChromiumNotInstalled, GoMissing, ServersMissing) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    for field in fields(found):
        print(f"{field.name.replace('_', '-'):15} {getattr(found, field.name)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
