"""Background work: started together, restarted when it fails, cancelled at the end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

Job = Callable[[], Awaitable[None]]

_RESTART_AFTER_SECONDS = 1.0
_log = logging.getLogger("idp.tasks")


async def _keep_running(name: str, job: Job) -> None:
    """Run a job that should never end; a fault in it is logged and does not stop the others."""
    while True:
        try:
            await job()
        except Exception:
            _log.exception("background_job_failed", extra={"job": name})
        await asyncio.sleep(_RESTART_AFTER_SECONDS)


class BackgroundJobs:
    """The jobs of one process."""

    def __init__(self, jobs: Mapping[str, Job]) -> None:
        self._jobs = jobs
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start every job in the running loop."""
        self._tasks = [
            asyncio.create_task(_keep_running(name, job), name=name)
            for name, job in self._jobs.items()
        ]

    async def stop(self) -> None:
        """Cancel the jobs and wait until they are gone."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
