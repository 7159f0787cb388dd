"""One server process: started, waited for, stopped in time, its output kept in a file."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx

_POLL_SECONDS = 0.02


class ServerFailed(Exception):
    """A server did not start, did not stop or broke a promise; the text shows its last output."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on, and that nobody else is given.

    It lies below the range of outgoing connections, so that nobody takes it while a server that
    owns it is restarted. As long as this process lives no other call returns it, in no test process
    of this machine: the UDP port of the same number, which nobody needs, is kept as a sign of that.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        sign = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sign.bind(("127.0.0.1", port))
                probe.bind(("127.0.0.1", port))
            except OSError:
                sign.close()
                continue
        # Never closed: the kernel does that when the process ends.
        sign.detach()
        return port


class Process:
    """A child process in a group of its own, killed by the kernel when its starter is gone.

    The kernel counts the *thread* that starts it, so start servers from a thread that stays.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start the command; its output is appended to `log`, `env` is added to ours."""
        self.log = log
        self.name = log.stem
        setpriv = shutil.which("setpriv")
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                [*([setpriv, "--pdeathsig", "KILL"] if setpriv else []), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its group."""
        return self._child.pid

    def wait_until(self, is_ready: Callable[[], bool], *, within: float) -> None:
        """Return when `is_ready` says so; kill and raise `ServerFailed` after `within` seconds.

        Errors of the network count as "not yet"; any other ends the process and goes on.
        """
        try:
            self._poll_until(is_ready, deadline=time.monotonic() + within)
        except BaseException:
            self.kill()
            raise

    def _poll_until(self, is_ready: Callable[[], bool], *, deadline: float) -> None:
        while not _answers(is_ready):
            status = self._child.poll()
            if status is not None:
                raise ServerFailed(f"{self.name} ended at start: {status}\n{log_tail(self.log)}")
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.name} was not ready in time\n{log_tail(self.log)}")
            time.sleep(_POLL_SECONDS)

    def stop(self, *, within: float, by: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit status; kill and raise after `within` seconds."""
        if self._child.poll() is None:
            self._child.send_signal(by)
        try:
            status = self._child.wait(timeout=within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerFailed(
                f"{self.name} did not end within {within} s of {by.name}\n{log_tail(self.log)}"
            ) from None
        self.kill()
        return status

    def wait(self, *, within: float) -> int:
        """Return the exit status of a process that ends by itself; kill and raise otherwise."""
        try:
            return self._child.wait(timeout=within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerFailed(
                f"{self.name} runs on after {within} s\n{log_tail(self.log)}"
            ) from None

    def kill(self) -> None:
        """Kill the process and whatever it started. Harmless when they are gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()


def log_tail(log: Path, *, lines: int = 40) -> str:
    """Return the last lines of a server's output under a heading, for people who read a failure."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join([f"--- {log}", *text.splitlines()[-lines:]])


def _answers(is_ready: Callable[[], bool]) -> bool:
    try:
        return is_ready()
    except (httpx.TransportError, OSError):
        return False
