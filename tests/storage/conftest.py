"""Fixtures of the storage tests."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

# The contract's assertions explain themselves only if pytest may rewrite them.
pytest.register_assert_rewrite("tests.storage.contract")


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def processes() -> Iterator[ProcessPoolExecutor]:
    """Return four processes of their own, started afresh and kept for the whole run."""
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        yield pool
