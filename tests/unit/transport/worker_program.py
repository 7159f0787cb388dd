"""A worker process for the tests of `supervise`: argv is kind, listeners, lifeline, a file."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import uvloop

from idp.clock import system_clock
from idp.transport.asgi import Receive, Scope, Send
from idp.transport.limits import Limits
from idp.transport.listeners import Drain, Listener, serve
from idp.transport.workers import adopt_listener, follow_parent


class TellPid:
    """Answers with the process id, and how many SIGHUP came; `/exit` ends the process at once."""

    def __init__(self) -> None:
        self.hangups = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["path"] == "/exit":
            os._exit(7)
        answer = json.dumps({"pid": os.getpid(), "hangups": self.hangups}).encode()
        headers = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def hang_up(self) -> None:
        """Count a SIGHUP."""
        self.hangups += 1


async def main() -> None:
    listeners = [int(fd) for fd in sys.argv[2].split(",")]
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    app = TellPid()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGHUP, app.hang_up)
    follow_parent(int(sys.argv[3]), stop)
    await serve(
        [Listener(sock=adopt_listener(fd), app=app) for fd in listeners],
        limits=Limits(),
        clock=system_clock,
        stop=stop,
        drain=Drain(linger=0, grace=2),
        on_ready=lambda: None,
        on_drain=lambda: None,
    )


if __name__ == "__main__":
    if sys.argv[1] == "fails":
        with Path(sys.argv[4]).open("a") as starts:
            starts.write("x")
        sys.exit(2)
    uvloop.run(main())
