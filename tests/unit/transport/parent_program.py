"""A supervising process for the tests: argv is the kind of worker and a file for its state."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from idp.transport.listeners import Address, bind
from idp.transport.workers import Patience, supervise

WORKER = Path(__file__).with_name("worker_program.py")


def command(*, listeners: Sequence[int], lifeline: int) -> Sequence[str]:
    """Return the command line of a worker."""
    fds = ",".join(map(str, listeners))
    return [sys.executable, str(WORKER), sys.argv[1], fds, str(lifeline), sys.argv[2]]


if __name__ == "__main__":
    sock = bind(Address(name="test", host="127.0.0.1", port=0))
    print(sock.getsockname()[1], flush=True)
    patience = Patience(settled=3.0, first_delay=0.1, longest_delay=1.0, stopping=5.0)
    sys.exit(asyncio.run(supervise(2, command, sockets=[sock], patience=patience)))
