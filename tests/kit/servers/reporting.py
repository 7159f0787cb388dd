"""A pytest plugin: a failed test shows the last output of the servers it was given as fixtures."""

from collections.abc import Generator
from pathlib import Path
from typing import Protocol, runtime_checkable

import pytest

from tests.kit.servers.process import log_tail


@runtime_checkable
class _HasLog(Protocol):
    log: Path


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add a section for each server among the arguments of a failed test, once."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        logs = {each.log: name for name, each in item.funcargs.items() if isinstance(each, _HasLog)}
        for log, name in logs.items():
            report.sections.append((f"output of {name}", log_tail(log)))
    return report
