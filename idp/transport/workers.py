"""Several server processes on the same listening sockets.

The parent binds, starts the workers and starts them anew when they die; it serves nothing itself.
Workers are new interpreters, not forks: random generators, TLS state and connections are nobody's
but their own. What they inherit is listening sockets, which the parent keeps open, so that a
connection that waits for a worker that dies is accepted by the next, and a lifeline that tells them
when the parent is gone.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from idp.log import log_event

_log = logging.getLogger("idp.transport")


class WorkerCommand(Protocol):
    """Makes the command line of a worker."""

    def __call__(self, *, listeners: Sequence[int], lifeline: int) -> Sequence[str]:
        """Return the command; the numbers are open file descriptors in the worker."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds that the parent waits, and for what."""

    settled: float = 10.0
    """A worker that lived this long did not fail at start."""
    first_delay: float = 0.1
    """Before a dead worker is replaced; doubled each time a worker dies unsettled."""
    longest_delay: float = 5.0
    """Connections dealt to a worker that is not there wait as long."""
    stopping: float = 30.0
    """For workers to end after SIGTERM; then they are killed. Longer than the drain."""


async def supervise(
    command: WorkerCommand,
    *,
    sockets: Sequence[Sequence[socket.socket]],
    patience: Patience,
    on_exit: Callable[[int], None] = lambda code: None,
) -> int:
    """Keep workers running until SIGTERM or SIGINT; return the exit status for the parent.

    Each item of `sockets` is what one worker listens on (`bind_each` makes them).

    The sockets are closed here when it ends, so that the last worker decides about connections that
    still wait. SIGHUP is passed on. `on_exit` hears the exit status of each worker that ends by
    itself. When the first start of every worker fails, nothing is tried again and the status of the
    first is returned, so that a mistake in the configuration looks as it does with one process.
    Raises OSError if the command cannot be started at all.
    """
    lifeline, held = os.pipe()
    try:
        fleet = _Fleet(command, sockets, lifeline, patience, on_exit)
        return await fleet.run()
    finally:
        os.close(lifeline)
        os.close(held)


def adopt_listener(fd: int) -> socket.socket:
    """Return the listening socket that the parent handed down under this number."""
    return socket.socket(fileno=fd)


def follow_parent(lifeline: int, stop: asyncio.Event) -> None:
    """Set `stop` when the parent is gone: nobody would replace or end this worker any more."""
    asyncio.get_running_loop().add_reader(lifeline, stop.set)


class _Fleet:
    """The running workers of one `supervise`."""

    def __init__(
        self,
        command: WorkerCommand,
        sockets: Sequence[Sequence[socket.socket]],
        lifeline: int,
        patience: Patience,
        on_exit: Callable[[int], None],
    ) -> None:
        self._sockets = sockets
        self._command = command
        self._lifeline = lifeline
        self._patience = patience
        self._on_exit = on_exit
        self._processes: set[asyncio.subprocess.Process] = set()
        self._stopping = asyncio.Event()
        self._settled = False
        self._failed_starts: list[int] = []

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._pass_on, signal.SIGHUP)
        keepers = [loop.create_task(self._keep_one(own)) for own in self._sockets]
        stopping = loop.create_task(self._stopping.wait())
        try:
            done, _ = await asyncio.wait({stopping, *keepers}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # a keeper ends early only by an exception
            return await self._stop()
        finally:
            for task in (stopping, *keepers):
                task.cancel()
            await asyncio.gather(stopping, *keepers, return_exceptions=True)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)

    async def _keep_one(self, sockets: Sequence[socket.socket]) -> None:
        """Start a worker again whenever it ends, ever more slowly while it fails at start."""
        loop = asyncio.get_running_loop()
        delay = self._patience.first_delay
        first = True
        while not self._stopping.is_set():
            began = loop.time()
            code = await self._run_worker(sockets)
            if self._stopping.is_set():
                return
            settled = loop.time() - began >= self._patience.settled
            self._settled = self._settled or settled
            if first and code != 0 and not settled:
                self._failed_starts.append(code)
            if len(self._failed_starts) == len(self._sockets) and not self._settled:
                self._stopping.set()
                return
            log_event(_log, logging.ERROR, "worker_died", exit_status=code, restart_in=delay)
            self._on_exit(code)
            first = False
            await asyncio.sleep(delay)
            delay = (
                self._patience.first_delay
                if settled
                else min(delay * 2, self._patience.longest_delay)
            )

    async def _run_worker(self, sockets: Sequence[socket.socket]) -> int:
        listeners = [sock.fileno() for sock in sockets]
        command = self._command(listeners=listeners, lifeline=self._lifeline)
        process = await asyncio.create_subprocess_exec(
            *command, pass_fds=(*listeners, self._lifeline)
        )
        self._processes.add(process)
        if self._stopping.is_set():  # it was being started when the others were told to end
            process.terminate()
        try:
            return await process.wait()
        finally:
            self._processes.discard(process)

    async def _stop(self) -> int:
        """End every worker and return the worst of their exit statuses, 0 if all went well.

        When no first start succeeded the status is that of the first failure, whatever becomes of
        a second start that was under way meanwhile.
        """
        none_started = len(self._failed_starts) == len(self._sockets) and not self._settled
        worst = await self._end_all()
        return _exit_status(self._failed_starts[0]) if none_started else worst

    async def _end_all(self) -> int:
        for sock in chain.from_iterable(self._sockets):
            sock.close()
        processes = tuple(self._processes)
        if not processes:
            return 0
        self._pass_on(signal.SIGTERM)
        waits = [asyncio.ensure_future(process.wait()) for process in processes]
        _, late = await asyncio.wait(waits, timeout=self._patience.stopping)
        if late:
            log_event(_log, logging.ERROR, "workers_killed", workers=len(late))
            self._pass_on(signal.SIGKILL)
            await asyncio.wait(late)
        return max(_exit_status(process.returncode or 0) for process in processes)

    def _pass_on(self, number: signal.Signals) -> None:
        for process in tuple(self._processes):
            process.send_signal(number)


def _exit_status(code: int) -> int:
    """Return a status as a shell does; a worker that SIGTERM met before it listened is fine."""
    if code == -signal.SIGTERM:
        return 0
    return code if code >= 0 else 128 - code
