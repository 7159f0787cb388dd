"""A supervising process for the tests: argv is the kind of worker and a file for its state."""

import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from idp.transport.addresses import Address, bind_each
from idp.transport.workers import Patience, supervise

WORKER = Path(__file__).with_name("worker_program.py")


def command(*, listeners: Sequence[int], lifeline: int) -> Sequence[str]:
    """Return the command line of a worker."""
    fds = ",".join(map(str, listeners))
    return [sys.executable, str(WORKER), sys.argv[1], fds, str(lifeline), sys.argv[2]]


if __name__ == "__main__":
    socks = bind_each(Address(name="test", host="127.0.0.1", port=0), 2)
    print(socks[0].getsockname()[1], flush=True)
    patience = Patience(
        settled=30.0 if sys.argv[1] == "fails" else 1.0,
        first_delay=0.1,
        longest_delay=1.0,
        stopping=5.0,
    )
    sys.exit(uvloop.run(supervise(command, sockets=[[sock] for sock in socks], patience=patience)))
