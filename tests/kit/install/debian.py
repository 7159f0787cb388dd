"""Chromium from Debian's packages."""

import os
import shutil
import subprocess

_BROWSER = ("chromium", "fonts-dejavu-core")


class ChromiumNotInstalled(Exception):
    """The browser could not be installed; the text says how to do it by hand."""


def install_chromium() -> None:
    """Install the browser with apt-get, through sudo when not root."""
    print("chromium: installing Debian's package", flush=True)
    if shutil.which("apt-get") is None:
        raise ChromiumNotInstalled(f"this machine has no apt-get; {_BY_HAND}")
    prefix = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    if prefix and shutil.which("sudo") is None:
        raise ChromiumNotInstalled(f"not root and no sudo; {_BY_HAND}")
    install = ["install", "--yes", "--no-install-recommends", *_BROWSER]
    # Another apt-get, such as a machine's nightly one, is waited for.
    apt_get = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300"]
    for arguments in (["update"], install):
        command = [*prefix, *apt_get, "--quiet", *arguments]
        answer = subprocess.run(command, stdout=subprocess.DEVNULL)
        if answer.returncode:
            raise ChromiumNotInstalled(f"`{' '.join(command)}` failed (see above); {_BY_HAND}")


_BY_HAND = (
    "install a Chromium yourself (Debian: `apt-get install chromium`) and name it in $CHROMIUM"
    " if it is not /usr/bin/chromium"
)
