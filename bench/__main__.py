"""Measures and prints the table. `python -m bench --write` also writes it to bench/RESULTS.md."""

import argparse
import asyncio
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.client import Connection, Operation, run_load
from bench.measure import cpu_seconds, resident_megabytes, signature_seconds
from bench.operations import Load, SignedIn
from bench.provider import Running, running_provider

_CONNECTIONS = 8
_RESULTS = Path(__file__).with_name("RESULTS.md")


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table; times in microseconds of the provider's CPU."""

    name: str
    microseconds: float
    signatures: float
    limit: float | None


def measure(
    running: Running, name: str, operation: Operation, *, each: int, unit: float, limit: float
) -> Figure:
    """Return what one operation costs the provider."""
    asyncio.run(run_load(running.url, operation, connections=_CONNECTIONS, each=max(2, each // 10)))
    before = cpu_seconds(running.pid)
    asyncio.run(run_load(running.url, operation, connections=_CONNECTIONS, each=each))
    spent = (cpu_seconds(running.pid) - before) / (each * _CONNECTIONS)
    return Figure(name, spent * 1e6, spent / unit, limit)


async def _sign_in_all(load: Load) -> list[dict[str, str]]:
    tokens = []
    for number in range(_CONNECTIONS):
        connection = await Connection.open(load.url)
        tokens.append(await load.sign_in(connection, number))
        connection.close()
    return tokens


def figures(running: Running, unit: float) -> Iterator[Figure]:
    """Yield the figures of one provider."""
    load = Load(running.url)

    def one(name: str, operation: Operation, each: int, limit: float) -> Figure:
        return measure(running, name, operation, each=each, unit=unit, limit=limit)

    yield one("key set", load.keys, 2000, 0.25)
    yield one("discovery", load.discovery, 2000, 0.25)
    yield one("login page", load.login_page, 150, 2)
    yield one("client credentials", load.client_credentials, 150, 3)
    yield one("login with a code, from the first page to the tokens", load.login, 100, 8)
    signed_in = SignedIn(load, asyncio.run(_sign_in_all(load)))
    yield one("userinfo", signed_in.userinfo, 300, 1)
    yield one("refresh", signed_in.refresh, 100, 6)


def main() -> None:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {_RESULTS.name} as well")
    options = parser.parse_args()
    unit = signature_seconds()
    with running_provider(port=15990, workers=1) as running:
        ready = running.seconds_to_ready
        lines = list(figures(running, unit))
        logins = 1000
        memory = resident_megabytes(running.pid)
    lines_text = "\n".join(_line(figure) for figure in lines)
    text = (
        f"{lines_text}\n\nOne RSA-2048 signature took {unit * 1e6:.0f} us of CPU. Ready"
        f" {ready:.2f} s after start. {memory:.0f} MB resident after {logins} logins.\n"
    )
    print(text)


def _line(figure: Figure) -> str:
    limit = "" if figure.limit is None else f"{figure.limit:g}"
    return f"| {figure.name} | {figure.signatures:.2f} | {limit} | {figure.microseconds:.0f} |"


if __name__ == "__main__":
    main()
