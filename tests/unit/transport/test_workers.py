"""Workers are replaced when they die, end with their parent, and share nothing but the sockets."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PARENT = Path(__file__).with_name("parent_program.py")
WORKER = Path(__file__).with_name("worker_program.py")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}


@contextlib.contextmanager
def parent(kind: str, state: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run the supervising process; yields it and the port."""
    command = [sys.executable, str(PARENT), kind, str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def ask(port: int, path: str = "/") -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        told: dict[str, Any] = json.load(answer)
        return told


def wait_for_pids(port: int, count: int, *, within: float = 10) -> set[int]:
    """Return the ids of the workers that answer, once there are `count` of them."""
    pids: set[int] = set()
    deadline = time.monotonic() + within
    while len(pids) < count:
        assert time.monotonic() < deadline, pids
        pids.add(ask(port)["pid"])
    return pids


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.covers("P-12")
def test_killed_worker_is_replaced_within_a_second_and_its_sibling_lives(tmp_path: Path) -> None:
    with parent("serves", tmp_path / "state") as (_, port):
        before = wait_for_pids(port, 2)
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        (survivor,) = before - {victim}
        time.sleep(1)
        after = wait_for_pids(port, 2)
        assert survivor in after
        assert victim not in after


@pytest.mark.servers
@pytest.mark.covers("P-12")
def test_requests_go_on_while_workers_die(tmp_path: Path) -> None:
    with parent("serves", tmp_path / "state") as (_, port):
        wait_for_pids(port, 2)
        time.sleep(1)  # until both have settled: their death is no failure at start
        for _ in range(2):
            with pytest.raises((urllib.error.URLError, ConnectionError)):
                ask(port, "/exit")
            for _ in range(50):
                assert ask(port)["pid"]
            time.sleep(0.8)


@pytest.mark.covers("P-1", "P-12")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_all_workers_and_the_status_is_0(
    number: signal.Signals, tmp_path: Path
) -> None:
    with parent("serves", tmp_path / "state") as (process, port):
        pids = wait_for_pids(port, 2)
        process.send_signal(number)
        assert process.wait(10) == 0
        assert not any(is_running(pid) for pid in pids)
        with pytest.raises(urllib.error.URLError):
            ask(port)


def test_hangup_reaches_every_worker(tmp_path: Path) -> None:
    with parent("serves", tmp_path / "state") as (process, port):
        pids = wait_for_pids(port, 2)
        process.send_signal(signal.SIGHUP)
        told: set[int] = set()
        deadline = time.monotonic() + 5
        while told != pids:
            assert time.monotonic() < deadline
            answer = ask(port)
            if answer["hangups"] == 1:
                told.add(answer["pid"])


@pytest.mark.covers("P-12")
def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    with parent("serves", tmp_path / "state") as (process, port):
        pids = wait_for_pids(port, 2)
        process.kill()
        deadline = time.monotonic() + 10
        while any(is_running(pid) for pid in pids):
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.servers
@pytest.mark.covers("P-9")
def test_worker_without_free_files_does_not_spin_and_recovers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        lifeline, held = os.pipe()
        fds = (listening.fileno(), lifeline)
        command = f"ulimit -n 64; exec {sys.executable} {WORKER} serves {fds[0]} {fds[1]}"
        with subprocess.Popen(command, shell=True, pass_fds=fds, env=ENVIRONMENT) as process:
            try:
                ask(port)
                with contextlib.ExitStack() as stack:
                    for _ in range(100):
                        stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                    before = cpu_ticks(process.pid)
                    time.sleep(1)
                    assert cpu_ticks(process.pid) - before < 20
                time.sleep(0.5)  # until it has seen them go
                assert ask(port)["pid"] == process.pid
            finally:
                process.kill()
        os.close(lifeline)
        os.close(held)


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.covers("P-6")
def test_failure_of_every_first_start_is_the_parents_own(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with parent("fails", state) as (process, _):
        assert process.wait(10) == 2
    assert 2 <= len(state.read_text()) < 10
