"""How large a test runs: small in CI, whole by hand with `KUBE_IDP_FULL=1`.

`KUBE_IDP_QUICK=1`, which `make check` sets, tries fewer random examples than `make test` does, and
fewer combinations.
"""

import os
from typing import TypeVar

T = TypeVar("T")


def counted(name: str, *, ci: int, full: int) -> int:
    """Return how many there shall be: `name` in the environment says so for runs of any length."""
    return int(os.environ.get(name, sized(ci=ci, full=full)))


def sized(*, ci: T, full: T) -> T:
    """Return the size for this run."""
    return full if os.environ.get("KUBE_IDP_FULL") == "1" else ci


def examples(ci: int) -> int:
    """Return how many random examples a property is tried with: a tenth of them in a quick run."""
    return max(5, ci // 10) if _is_quick() else ci


def in_quick_runs(few: T, *, otherwise: T) -> T:
    """Return the few cases that a quick run goes through, or all."""
    return few if _is_quick() else otherwise


def _is_quick() -> bool:
    return os.environ.get("KUBE_IDP_QUICK") == "1"
