"""What a document costs: CPU of the server per request, and requests a second.

Run from the root of the repository: `python -m bench.http_static`. It serves a document of 1.5 KB,
and the least ASGI answer beside it, on a port of 127.0.0.1 with one worker and with two. It drives
them with wrk where that is installed, else with a small driver of its own (slower than the server,
so that only its CPU figure counts). Five seconds for each row.
"""

import argparse
import asyncio
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from idp.clock import system_clock
from idp.transport.addresses import Address, bind_each
from idp.transport.asgi import Receive, Scope, Send
from idp.transport.documents import Documents, StaticDocument
from idp.transport.limits import Limits
from idp.transport.listeners import Drain, Listener, serve
from idp.transport.workers import Patience, adopt_listener, follow_parent, supervise

REQUEST = b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
CONNECTIONS = 32


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=5.0)
    arguments.add_argument("--parent", type=int, nargs="+", help=argparse.SUPPRESS)
    arguments.add_argument("--worker", type=int, nargs=2, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.worker:
        uvloop.run(run_worker(*chosen.worker))
    elif chosen.parent:
        sys.exit(asyncio.run(run_parent(chosen.parent)))
    else:
        print_table(min(chosen.seconds, 30.0))


def print_table(seconds: float) -> None:
    """Measure and print each row."""
    signature = signature_microseconds()
    drive = drive_with_wrk if shutil.which("wrk") else drive_ourselves
    print(f"driver: {drive.__name__}; one RSA-2048 signature: {signature:.0f} us")
    print(f"{'workers':>7} {'path':>6} {'us/request':>10} {'signatures':>10} {'requests/s':>10}")
    for workers in (1, 2):
        for path in ("/keys", "/app"):
            row = measure(workers, path, seconds, drive)
            cost = row.cpu_seconds / row.requests * 1e6
            rate = row.requests / row.seconds
            print(f"{workers:7} {path:>6} {cost:10.1f} {cost / signature:10.3f} {rate:10.0f}")


@dataclass(frozen=True, slots=True)
class Row:
    """What one run has taken."""

    requests: int
    seconds: float
    cpu_seconds: float


Drive = Callable[[int, str, float], int]


def measure(workers: int, path: str, seconds: float, drive: Drive) -> Row:
    """Start the server, warm it up, and drive it for some seconds."""
    socks = bind_each(Address(name="bench", host="127.0.0.1", port=0), workers)
    port = socks[0].getsockname()[1]
    fds = [sock.fileno() for sock in socks]
    command = [sys.executable, "-m", "bench.http_static", "--parent", *map(str, fds)]
    with subprocess.Popen(command, pass_fds=fds) as process:
        for sock in socks:
            sock.close()
        try:
            wait_for(process.pid, workers)
            drive(port, path, 0.5)
            cpu, began = cpu_seconds(process.pid), time.monotonic()
            requests = drive(port, path, seconds)
            took = time.monotonic() - began
            return Row(requests, took, cpu_seconds(process.pid) - cpu)
        finally:
            process.terminate()


def wait_for(parent: int, workers: int) -> None:
    """Wait until the workers are past their start: they have used CPU and now sleep."""
    deadline = time.monotonic() + 10
    while len(children(parent)) < workers:
        if time.monotonic() > deadline:
            raise TimeoutError("the workers did not start")
        time.sleep(0.05)
    time.sleep(1.5)


def children(parent: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def cpu_seconds(parent: int) -> float:
    """Return user and system time of the workers so far."""
    ticks = 0
    for pid in children(parent):
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def drive_with_wrk(port: int, path: str, seconds: float) -> int:
    """Return how many requests wrk had answered; raises if any failed."""
    url = f"http://127.0.0.1:{port}{path}"
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", url]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(output)
    found = re.search(r"(\d+) requests in", output)
    if found is None:
        raise RuntimeError(output)
    return int(found[1])


def drive_ourselves(port: int, path: str, seconds: float) -> int:
    """Return how many requests were answered; each connection asks again when it is answered."""

    async def ask(deadline: float) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        count = 0
        while time.monotonic() < deadline:
            writer.write(REQUEST % path.encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            count += 1
        writer.close()
        return count

    async def run() -> int:
        deadline = time.monotonic() + seconds
        return sum(await asyncio.gather(*(ask(deadline) for _ in range(CONNECTIONS))))

    return uvloop.run(run())


def signature_microseconds() -> float:
    """Return the CPU time of one RSA-2048 signature, the unit of all figures."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    began = time.process_time()
    for _ in range(1000):
        key.sign(b"x" * 500, padding.PKCS1v15(), hashes.SHA256())
    return (time.process_time() - began) * 1000


async def answer_ok(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer two bytes: what the way through ASGI costs at least."""
    await receive()
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


async def run_worker(fd: int, lifeline: int) -> None:
    """Serve until the parent is gone."""
    documents = Documents()
    headers = (
        (b"content-type", b"application/json"),
        (b"cache-control", b"public, max-age=60"),
        (b"x-content-type-options", b"nosniff"),
    )
    keys = StaticDocument(body=b"k" * 1500, headers=headers, etag=b'"bench"')
    documents.publish({"/keys": keys})
    stop = asyncio.Event()
    follow_parent(lifeline, stop)
    await serve(
        [Listener(sock=adopt_listener(fd), app=answer_ok, documents=documents)],
        limits=Limits(),
        clock=system_clock,
        stop=stop,
        drain=Drain(linger=0, grace=1),
        on_ready=lambda: None,
        on_drain=lambda: None,
    )


async def run_parent(fds: Sequence[int]) -> int:
    """Supervise the workers."""

    def command(*, listeners: Sequence[int], lifeline: int) -> Sequence[str]:
        fds = [str(listeners[0]), str(lifeline)]
        return [sys.executable, "-m", "bench.http_static", "--worker", *fds]

    sockets = [[adopt_listener(fd)] for fd in fds]
    return await supervise(command, sockets=sockets, patience=Patience())


if __name__ == "__main__":
    main()
