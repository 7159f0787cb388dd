"""`make run`: people can sign in to the example, Ctrl-C ends it, and failures are told."""

import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from playwright.sync_api import expect

from tests.kit.scene import Account
from tests.kit.servers.browser import Browser
from tests.kit.servers.process import Process, free_port
from tests.kit.signing_in import send_login

pytestmark = pytest.mark.servers

_DEV = Path("examples/dev.yaml").resolve()
_START_SECONDS = 60
_STOP_SECONDS = 30


class Run:
    """`examples.run` in a directory of its own, on ports of its own."""

    def __init__(self, directory: Path) -> None:
        config: dict[str, Any] = yaml.safe_load(_DEV.read_text())
        provider, telemetry, application = (f"127.0.0.1:{free_port()}" for _ in range(3))
        config["issuer"] = f"http://{provider}"
        config["web"]["http"] = provider
        config["telemetry"]["http"] = telemetry
        config["staticClients"][0]["redirectURIs"] = [f"http://{application}/callback"]
        self.config = config
        self.addresses = [provider, telemetry, application]
        self.application = f"http://{application}"
        self.log = directory / "terminal.log"
        self._directory = directory

    def start(self) -> Process:
        """Start it, as `make` does; it may not be ready yet."""
        path = self._directory / "dev.yaml"
        path.write_text(yaml.safe_dump(self.config))
        command = [sys.executable, "-m", "examples.run", str(path)]
        return Process(command, log=self.log, cwd=self._directory)

    def said(self) -> str:
        """Return what stands on the terminal."""
        return self.log.read_text()

    def is_greeting(self) -> bool:
        """Tell whether it says that everything runs."""
        return "Everything runs" in self.said()

    def free_addresses(self) -> list[str]:
        """Return the addresses that nobody listens on."""
        return [address for address in self.addresses if not _listens(address)]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


@pytest.fixture
def started(run: Run) -> Iterator[Process]:
    process = run.start()
    try:
        process.wait_until(run.is_greeting, within=_START_SECONDS)
        yield process
    finally:
        process.kill()


def test_person_signs_in_to_the_example(run: Run, started: Process, browser: Browser) -> None:
    said = run.said()
    email = re.search(r"User +(\S+)", said)
    password = re.search(r"Password +(\S+)", said)
    assert email is not None
    assert password is not None
    assert run.application in said
    assert run.config["issuer"] in said
    telemetry = re.search(r"http://\S+/metrics", said)
    assert telemetry is not None
    assert httpx.get(telemetry[0], trust_env=False).status_code == 200
    person = browser.person()

    person.page.goto(run.application)
    person.page.get_by_role("button", name="Sign in").click()
    send_login(person.page, Account(email[1], "", password[1], ()))
    expect(person.page.get_by_role("heading", name="You are signed in")).to_be_visible()
    first = person.page.get_by_label("Refresh token: as sent").text_content() or ""
    person.page.get_by_role("button", name="Refresh tokens").click()
    # The page of before has the next button too.
    expect(person.page.get_by_label("Refresh token: as sent")).not_to_have_text(first)
    person.page.get_by_role("button", name="Call userinfo").click()
    expect(person.page.get_by_label("userinfo", exact=True)).to_contain_text("on-call")

    assert person.complaints == []
    assert started.stop(within=_STOP_SECONDS, by=signal.SIGINT) == 0
    assert "Stopped." in run.said()
    assert run.free_addresses() == run.addresses


def test_ctrl_c_in_a_terminal_reaches_the_whole_group(run: Run, started: Process) -> None:
    os.killpg(started.pid, signal.SIGINT)

    assert started.wait(within=_STOP_SECONDS) == 0
    assert "ended (status" not in run.said()
    assert run.free_addresses() == run.addresses


def test_it_ends_by_sigterm_and_starts_again_with_the_same_store(
    run: Run, started: Process
) -> None:
    keys = httpx.get(f"{run.config['issuer']}/keys", trust_env=False).json()

    assert started.stop(within=_STOP_SECONDS) == 0
    assert run.free_addresses() == run.addresses
    run.log.unlink()
    again = run.start()
    try:
        again.wait_until(run.is_greeting, within=_START_SECONDS)
        assert httpx.get(f"{run.config['issuer']}/keys", trust_env=False).json() == keys
    finally:
        again.kill()


@pytest.mark.parametrize("taken", [0, 1, 2], ids=["provider", "telemetry", "application"])
def test_taken_port_is_told_and_nothing_stays_behind(run: Run, taken: int) -> None:
    address = run.addresses[taken]
    host, _, port = address.partition(":")
    with socket.create_server((host, int(port))):
        status = run.start().wait(within=_START_SECONDS)

        assert run.free_addresses() == [each for each in run.addresses if each != address]

    assert status == 1
    assert address in run.said()
    assert "already in use" in run.said()
    assert "Traceback" not in run.said()


@pytest.mark.parametrize("name", ["idp serve", "examples.app"])
def test_when_one_dies_the_other_is_stopped(run: Run, started: Process, name: str) -> None:
    victim = _child(started.pid, lambda command: name in command)

    os.kill(victim, signal.SIGKILL)

    assert started.wait(within=_STOP_SECONDS) == 1
    assert "ended (status -9)" in run.said()
    assert run.free_addresses() == run.addresses


def test_last_words_of_the_one_that_ended_are_shown(run: Run) -> None:
    run.config["staticPasswords"][0]["hash"] = "no hash at all"

    status = run.start().wait(within=_START_SECONDS)

    assert status == 1
    assert "The provider ended (status 2). It said:" in run.said()
    assert "staticPasswords[0]" in run.said()
    assert "Traceback" not in run.said()


@pytest.mark.parametrize("missing", ["issuer", "storage", "staticClients", "staticPasswords"])
def test_configuration_that_cannot_be_shown_is_told(run: Run, missing: str) -> None:
    del run.config[missing]

    status = run.start().wait(within=_START_SECONDS)

    assert status == 1
    assert missing in run.said()
    assert "Traceback" not in run.said()


def _listens(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def _child(parent: int, is_wanted: Callable[[str], bool]) -> int:
    """Return the process id of one child by its command line."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    for pid in children:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        if is_wanted(command):
            return int(pid)
    pytest.fail(f"no such child among {children}")
