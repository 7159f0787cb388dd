"""A provider in a process of its own, for requests that mean no good."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.target import Target, running_target


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with running_target(tmp_path_factory.mktemp("fuzz")) as running:
        yield running


@pytest.fixture
def log(target: Target) -> Path:
    return target.idp.log
