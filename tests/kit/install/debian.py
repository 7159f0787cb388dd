"""Programs from Debian's packages: the browser and the directories."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass


class PackagesNotInstalled(Exception):
    """Debian's packages could not be installed; the text says how to do it by hand."""


@dataclass(frozen=True, slots=True)
class DebianPackages:
    """The packages that bring a program, and what to do where apt-get cannot bring them.

    `answers` are lines for debconf-set-selections: what a package would otherwise ask.
    """

    program: str
    packages: Sequence[str]
    by_hand: str
    answers: Sequence[str] = ()


CHROMIUM = DebianPackages(
    "chromium",
    packages=("chromium-headless-shell", "fonts-dejavu-core"),
    by_hand="install a Chromium yourself (Debian: `apt-get install chromium-headless-shell`, or"
    " `chromium`) and name it in $CHROMIUM if it is not in /usr/bin",
)
SLAPD = DebianPackages(
    "slapd",
    packages=("slapd", "ldap-utils"),
    by_hand="install OpenLDAP's server and clients yourself (Debian: `apt-get install slapd"
    " ldap-utils`)",
    # Without a configuration it is not started here, nor when the machine boots.
    answers=("slapd slapd/no_configuration boolean true",),
)

SERVER_389 = DebianPackages(
    "389 Directory Server",
    packages=("389-ds-base", "libnss3-tools"),
    by_hand="install 389 Directory Server yourself (Debian: `apt-get install 389-ds-base`)",
)

# Packages of servers like to start them, which is nobody's wish here and fails without an init.
# Debian asks this file first. A machine that has one of its own, as containers do, keeps it.
_INSTALL = """
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\\nexit 101\\n' >"$policy"
    chmod 755 "$policy"
fi
printf '%s\\n' "$1" | debconf-set-selections
shift
apt-get -o DPkg::Lock::Timeout=300 --quiet update
apt-get -o DPkg::Lock::Timeout=300 --quiet install --yes --no-install-recommends "$@"
"""


def install_packages(wanted: Sequence[DebianPackages]) -> None:
    """Install them with apt-get, through sudo when not root; starts no service.

    Raises `PackagesNotInstalled`. Another apt-get, such as a machine's nightly one, is waited for.
    """
    names = ", ".join(each.program for each in wanted)
    by_hand = "; ".join(each.by_hand for each in wanted)
    print(f"{names}: installing Debian's packages", flush=True)
    if shutil.which("apt-get") is None:
        raise PackagesNotInstalled(f"this machine has no apt-get; {by_hand}")
    prefix = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    if prefix and shutil.which("sudo") is None:
        raise PackagesNotInstalled(f"not root and no sudo; {by_hand}")
    answers = "\n".join(line for each in wanted for line in each.answers)
    packages = [package for each in wanted for package in each.packages]
    shell = ["sh", "-ec", _INSTALL, "sh", answers, *packages]
    answer = subprocess.run([*prefix, *shell], stdout=subprocess.DEVNULL)
    if answer.returncode:
        raise PackagesNotInstalled(f"apt-get could not install {names} (see above); {by_hand}")
