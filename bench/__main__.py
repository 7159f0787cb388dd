"""Measures and prints the table. `python -m bench --write` also writes it to bench/RESULTS.md."""

import argparse
import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bench import ldap
from bench.api_calls import LIMIT_MS, costs_of_calls
from bench.client import Connection, Operation, run_load
from bench.measure import cpu_seconds, resident_megabytes, signature_seconds
from bench.operations import Load, SignedIn
from bench.provider import PASSWORD, PASSWORD_HASH, Running, running_provider
from bench.stores import Store, kubernetes_store, sqlite_store
from connectors.passwords import PasswordHasher

_CONNECTIONS = 16
_ROUNDS = 5
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
    """Return what one operation costs the provider: the median of a few rounds.

    CPU time grows when neighbours empty the caches, so single rounds differ by a tenth and more.
    """
    asyncio.run(run_load(running.url, operation, connections=_CONNECTIONS, each=max(2, each // 10)))
    rounds = []
    for _ in range(_ROUNDS):
        before = cpu_seconds(running.pid)
        asyncio.run(run_load(running.url, operation, connections=_CONNECTIONS, each=each))
        rounds.append((cpu_seconds(running.pid) - before) / (each * _CONNECTIONS))
    spent = median(rounds)
    return Figure(name, spent * 1e6, spent / unit, limit)


async def _sign_in_all(load: Load, people: int = _CONNECTIONS) -> list[dict[str, str]]:
    tokens = []
    for number in range(people):
        connection = await Connection.open(load.url)
        tokens.append(await load.sign_in(connection, number))
        connection.close()
    return tokens


async def _cost_of_hashing(count: int) -> float:
    """Return the CPU seconds of one password check, with its way to the thread and back."""
    hasher = PasswordHasher(running=2, waiting=64)
    await hasher.verify(PASSWORD, PASSWORD_HASH)
    started = time.process_time()
    for _ in range(count):
        await hasher.verify(PASSWORD, PASSWORD_HASH)
    spent = time.process_time() - started
    hasher.close()
    return spent / count


def figures(running: Running, store: Store, unit: float) -> Iterator[Figure]:
    """Yield the figures of one provider."""
    load = Load(running.url)

    def one(name: str, operation: Operation, each: int, limit: float) -> Figure:
        return measure(running, name, operation, each=each, unit=unit, limit=limit)

    yield one("key set", load.keys, 1000, 0.25)
    yield one("discovery", load.discovery, 1000, 0.25)
    yield one("login page", load.login_page, 100, 2)
    yield one("client credentials", load.client_credentials, 100, 3)
    login = one("login with a code, from the first page to the tokens", load.login, 80, store.login)
    hashing = asyncio.run(_cost_of_hashing(1000))
    yield replace(
        login,
        microseconds=login.microseconds - hashing * 1e6,
        signatures=login.signatures - hashing / unit,
    )
    signed_in = SignedIn(load, asyncio.run(_sign_in_all(load)))
    yield one("userinfo", signed_in.userinfo, 150, 1)
    yield one("refresh", signed_in.refresh, 80, store.refresh)


def ldap_figures(running: Running, unit: float) -> Iterator[Figure]:
    """Yield the figures of people of a directory."""
    load = Load(running.url, ldap.account)

    def one(name: str, operation: Operation, limit: float) -> Figure:
        return measure(running, name, operation, each=60, unit=unit, limit=limit)

    login = "login through LDAP, from the first page to the tokens"
    yield one(login, load.login, ldap.LOGIN_LIMIT)
    signed_in = SignedIn(load, asyncio.run(_sign_in_all(load)))
    yield one("refresh, the directory asked", signed_in.refresh, ldap.REFRESH_LIMIT)


def memory_after_logins(running: Running) -> Iterator[tuple[int, float]]:
    """Yield the resident memory after more and more logins."""
    load = Load(running.url)
    done = 0
    for target in (1_000, 5_000, 10_000):
        each = (target - done) // _CONNECTIONS
        asyncio.run(run_load(running.url, load.login, connections=_CONNECTIONS, each=each))
        done = target
        yield done, resident_megabytes(running.pid)


def writes_of_strangers(running: Running, store: Store, count: int) -> int:
    """Return how often the store was written to while strangers sent `count` requests."""
    load = Load(running.url)
    before = store.writes()
    # A wrong password takes 0.4 s on purpose: few of them, many at a time.
    asyncio.run(run_load(running.url, load.wrong_password, connections=100, each=20))
    each = (count - 2_000) // (_CONNECTIONS * len(load.of_strangers))
    for operation in load.of_strangers:
        asyncio.run(run_load(running.url, operation, connections=_CONNECTIONS, each=each))
    return store.writes() - before


def requests_per_second(store: Store, seconds: int) -> str:
    """Return what two workers answer while `wrk` loads them on the same cores."""
    wrk = shutil.which("wrk")
    if wrk is None:
        return "not measured: wrk is not installed (Debian's package wrk)"
    rates = []
    with running_provider(store.section, port=store.port, workers=2) as running:
        for path in ("/keys", "/.well-known/openid-configuration"):
            command = [wrk, "-t1", "-c64", f"-d{seconds}s", running.url + path]
            answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            rates.append(next(x.split()[1] for x in answer.splitlines() if "Requests/sec" in x))
    return f"{float(rates[0]):,.0f} key sets, {float(rates[1]):,.0f} discoveries a second"


def main() -> None:
    """Measure everything and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {_RESULTS.name} as well")
    parser.add_argument("--quick", action="store_true", help="only the cost of operations")
    parser.add_argument("--store", choices=_STORES, help="only this store")
    options = parser.parse_args()
    unit = median(signature_seconds(1000) for _ in range(3))
    sections = []
    for name in [options.store] if options.store else _STORES:
        with _STORES[name]() as store:
            sections.append(_section(store, unit) + ([] if options.quick else _long_figures(store)))
            print("\n".join(sections[-1]) + "\n", flush=True)
    if options.store != "sqlite":
        with _STORES["kubernetes"]() as store:
            sections.append(_ldap_section(store, unit))
            print("\n".join(sections[-1]) + "\n", flush=True)
    if options.write:
        stamp = datetime.now(UTC).date().isoformat()
        head = f"# Figures\n\n`make bench`, {stamp}, two cores.\n\n"
        _RESULTS.write_text(head + "\n\n".join("\n".join(lines) for lines in sections) + "\n")


_STORES = {"sqlite": sqlite_store, "kubernetes": kubernetes_store}


_HEAD = [
    "| operation | RSA-2048 signatures | at most | us of CPU |",
    "| --- | --- | --- | --- |",
]


def _ldap_section(store: Store, unit: float) -> list[str]:
    """Measure people of a directory, on one store: it makes no difference to what LDAP costs."""
    with (
        ldap.directory() as slapd,
        running_provider(
            store.section, port=store.port, workers=1, connectors=ldap.connectors(slapd)
        ) as running,
    ):
        table = [_line(figure) for figure in ldap_figures(running, unit)]
        tokens = asyncio.run(_sign_in_all(Load(running.url), ldap.CONNECTIONS))
        waits = ldap.latencies(running.url, slapd, tokens)
    return [
        f"## {store.name}, people of a slapd over TLS, in two groups each",
        "",
        *_HEAD,
        *table,
        "",
        f"While the directory accepts {ldap.HANGING} logins and answers none, the 99th percentile"
        " of others, all on the same two cores: "
        + ", ".join(f"{w.name} {w.before:.1f} ms, then {w.hanging:.1f} ms" for w in waits)
        + ".",
    ]


def _section(store: Store, unit: float) -> list[str]:
    with running_provider(store.section, port=store.port, workers=1) as running:
        ready = running.seconds_to_ready
        table = [_line(figure) for figure in figures(running, store, unit)]
    return [
        f"## {store.name}",
        "",
        *_HEAD,
        *table,
        "",
        f"One RSA-2048 signature took {unit * 1e6:.0f} us of CPU in this run. First answer"
        f" {ready:.2f} s after the start of the process.",
        *_calls(store),
    ]


def _calls(store: Store) -> list[str]:
    if store.kubeconfig is None:
        return []
    costs = ", ".join(f"{cost:.2f} ms a {call}" for call, cost in costs_of_calls(store.kubeconfig))
    return [f"CPU of our side for a request of the API server, at most {LIMIT_MS:g} ms: {costs}."]


def _long_figures(store: Store) -> list[str]:
    with running_provider(store.section, port=store.port, workers=1) as running:
        written = writes_of_strangers(running, store, 100_000)
    # Another one: here the throttle no longer listens to this address.
    with running_provider(store.section, port=store.port, workers=1) as running:
        memory = [f"{mb:.0f} MB after {n:,}" for n, mb in memory_after_logins(running)]
    return [
        "",
        "100,000 requests of strangers (pages, wrong passwords, wrong secrets, garbage tokens):"
        f" {written} writes.",
        f"Resident memory with the number of logins: {', '.join(memory)}.",
        f"Two workers, wrk on the same two cores: {requests_per_second(store, 5)}.",
    ]


def _line(figure: Figure) -> str:
    limit = "" if figure.limit is None else f"{figure.limit:g}"
    return f"| {figure.name} | {figure.signatures:.2f} | {limit} | {figure.microseconds:.0f} |"


if __name__ == "__main__":
    main()
