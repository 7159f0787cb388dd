"""How large a test runs: small in CI, whole by hand with `KUBE_IDP_FULL=1`."""

import os
from typing import TypeVar

T = TypeVar("T")


def counted(name: str, *, ci: int, full: int) -> int:
    """Return how many there shall be: `name` in the environment says so for runs of any length."""
    return int(os.environ.get(name, sized(ci=ci, full=full)))


def sized(*, ci: T, full: T) -> T:
    """Return the size for this run."""
    return full if os.environ.get("KUBE_IDP_FULL") == "1" else ci
