"""Installs what the tests run beside ours: relying parties and a provider, of other people.

The programs are in `tests/peers`. What they are made of is pinned there, in `go.sum` and
`package-lock.json`; here it is put into the cache, under a name that changes with those files.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.kit.install.binaries import ServersMissing, cache_directory
from tests.kit.install.build import BuildFailed
from tests.kit.install.golang import go_environment

SOURCES = Path(__file__).parents[2] / "peers"
_GO_OIDC = SOURCES / "go_oidc"
_NODE = SOURCES / "node"
_OLDEST_NODE = 20
_NODE_VERSION = re.compile(r"v(\d+)\.")


@dataclass(frozen=True, slots=True)
class Peers:
    """The relying party in Go, Node.js, and the directory of its modules."""

    go_oidc: Path
    node: Path
    node_modules: Path


def find_peers() -> Peers:
    """Return them all, or raise `ServersMissing` naming what is not there."""
    places = {"go-oidc": _go_oidc_program(), "node_modules": _node_modules()}
    missing = sorted(name for name, place in places.items() if not place.exists())
    if missing:
        raise ServersMissing(f"not installed: {', '.join(missing)}; run `make test-setup`")
    return Peers(places["go-oidc"], find_node(), places["node_modules"])


def find_node() -> Path:
    """Return Node.js in a version new enough, or raise `ServersMissing`."""
    on_path = shutil.which("node")
    if on_path is not None:
        answer = subprocess.run([on_path, "--version"], capture_output=True, text=True)
        version = _NODE_VERSION.match(answer.stdout)
        if version is not None and int(version[1]) >= _OLDEST_NODE:
            return Path(on_path)
    raise ServersMissing(
        f"Node.js {_OLDEST_NODE} or newer is not on the PATH: install it, and npm beside it"
        " (Debian: `apt-get install nodejs npm`)"
    )


def has_go_oidc() -> bool:
    """Return whether the relying party in Go is built."""
    return _go_oidc_program().exists()


def build_go_oidc(*, go: Path) -> None:
    """Build it with the modules of its `go.sum`. Raises `BuildFailed`."""
    with _appearing(_go_oidc_program().parent) as building:
        # Flags of the caller count for nothing; -mod=readonly keeps to what is pinned.
        environment = go_environment() | {"GOFLAGS": "-mod=readonly -buildvcs=false"}
        target = str(building / "go-oidc")
        command = [str(go), "build", "-ldflags", "-s -w", "-o", target, "."]
        _run(command, cwd=_GO_OIDC, env=environment)


def has_node_modules() -> bool:
    """Return whether the modules of Node.js are there."""
    return _node_modules().exists()


def install_node_modules() -> None:
    """Install the modules of `package-lock.json`, running no script of theirs.

    Raises `BuildFailed`, and `ServersMissing` without Node.js or npm.
    """
    find_node()
    npm = shutil.which("npm")
    if npm is None:
        raise ServersMissing("npm is not on the PATH: install it (Debian: `apt-get install npm`)")
    with _appearing(_node_modules().parent) as building:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_NODE / name, building)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        _run(command, cwd=building, env={**os.environ})


def _go_oidc_program() -> Path:
    files = [path for path in _GO_OIDC.iterdir() if path.suffix in (".go", ".mod", ".sum")]
    return cache_directory() / f"go-oidc-{_digest(files)}" / "go-oidc"


def _node_modules() -> Path:
    digest = _digest([_NODE / "package-lock.json"])
    return cache_directory() / f"node-modules-{digest}" / "node_modules"


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _appearing(directory: Path) -> Iterator[Path]:
    """Yield a directory to fill, which becomes `directory` at the end, whole or not at all."""
    began = time.monotonic()
    print(f"{directory.name}: installing", flush=True)
    building = Path(tempfile.mkdtemp(prefix="building-", dir=directory.parent))
    try:
        yield building
        building.rename(directory)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    print(f"{directory.name}: installed in {time.monotonic() - began:.0f} s", flush=True)


def _run(command: Sequence[str], *, cwd: Path, env: dict[str, str]) -> None:
    answer = subprocess.run(["nice", "-n", "10", *command], cwd=cwd, env=env)
    if answer.returncode:
        raise BuildFailed(f"`{' '.join(command)}` ended with {answer.returncode}; see above")
