"""How large a test runs: small in CI, whole by hand with `KUBE_IDP_FULL=1`."""

import os
from typing import TypeVar

T = TypeVar("T")


def sized(*, ci: T, full: T) -> T:
    """Return the size for this run."""
    return full if os.environ.get("KUBE_IDP_FULL") == "1" else ci
