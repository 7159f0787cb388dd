"""Runs a provider: listeners, signals, TLS, drain; alone or as one of several workers."""

import asyncio
import logging
import signal
import socket
import ssl
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import uvloop

from idp.app import Provider, Surroundings
from idp.clock import Clock
from idp.log import log_event
from idp.settings import Settings
from idp.transport.addresses import Address, bind, bind_each
from idp.transport.limits import Limits
from idp.transport.listeners import Drain, Listener, serve
from idp.transport.tls import ServerTls, TlsSettings, TlsUnusable, follow_files
from idp.transport.workers import Patience, follow_parent, supervise

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_LINGER_SECONDS = 5.0
_OPENS_WITHIN_SECONDS = 3.0
"""Visitors wait for so long for a provider that starts; then they are told that it does."""
_log = logging.getLogger("idp.serve")


@dataclass(frozen=True, slots=True)
class Inherited:
    """What a worker gets from its parent: listening sockets, in `addresses` order, and a pipe."""

    sockets: tuple[socket.socket, ...]
    lifeline: int


def addresses(settings: Settings) -> list[Address]:
    """Return where to listen, in the order in which workers inherit the sockets."""
    wanted = (
        ("web.http", settings.web.http),
        ("web.https", settings.web.https),
        ("telemetry.http", settings.telemetry.http),
    )
    return [
        Address(name=name, host=address.host, port=address.port)
        for name, address in wanted
        if address is not None
    ]


def server_tls(settings: Settings, clock: Clock) -> ServerTls | None:
    """Return the TLS of web.https, None where it is not configured. Raises TlsUnusable."""
    web = settings.web
    if web.https is None or web.tls_cert is None or web.tls_key is None:
        return None
    files = TlsSettings(
        cert=web.tls_cert,
        key=web.tls_key,
        minimum=_VERSIONS[web.tls_min_version],
        maximum=_VERSIONS[web.tls_max_version],
    )
    return ServerTls(files, clock)


def run_alone(settings: Settings, outside: Surroundings, inherited: Inherited | None) -> None:
    """Serve in this process until SIGTERM or SIGINT.

    Raises CannotListen, TlsUnusable, StorageError and KeyFileError, each with a text for the
    operator.
    """
    uvloop.run(_run(settings, outside, inherited))


def run_workers(settings: Settings, config: Path) -> int:
    """Serve in `web.workers` processes; return the exit status. Raises CannotListen."""
    count = settings.web.workers
    by_address = [bind_each(address, count) for address in addresses(settings)]
    by_worker = list(zip(*by_address, strict=True))

    def command(*, listeners: Sequence[int], lifeline: int) -> list[str]:
        handed = ",".join(str(number) for number in (*listeners, lifeline))
        return [sys.executable, "-m", "idp", "serve", str(config), "--inherit", handed]

    return uvloop.run(supervise(command, sockets=by_worker, patience=Patience()))


async def _run(settings: Settings, outside: Surroundings, inherited: Inherited | None) -> None:
    tls = server_tls(settings, outside.clock)
    where = addresses(settings)
    sockets = inherited.sockets if inherited is not None else [bind(address) for address in where]
    provider = Provider(settings, outside)
    stop, hurry = asyncio.Event(), asyncio.Event()
    _follow_signals(stop, hurry, tls)
    if inherited is not None:
        follow_parent(inherited.lifeline, stop)
    opening = asyncio.create_task(_open(provider, settings))
    watching = asyncio.create_task(_follow_certificate(tls, provider))
    try:
        # Until then the kernel keeps whoever connects waiting: a worker that is replaced, or a
        # start that goes well, answers nobody with "not yet".
        await asyncio.wait({opening}, timeout=_OPENS_WITHIN_SECONDS)
        if opening.done():
            opening.result()
        opening.add_done_callback(lambda done: _leave_if_failed(done, stop, hurry))
        await serve(
            _listeners(provider, where, sockets, tls),
            limits=Limits(),
            clock=outside.clock,
            stop=stop,
            drain=Drain(
                linger=0.0 if settings.telemetry.http is None else _LINGER_SECONDS, hurry=hurry
            ),
            on_ready=lambda: _listening(where),
            on_drain=lambda: _draining(provider),
        )
    finally:
        await _end(watching)
        try:
            await _end(opening)
        finally:
            await provider.close()


async def _end(task: "asyncio.Task[None]") -> None:
    """Cancel a task that may still run; what it failed with passes through."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _leave_if_failed(
    opening: "asyncio.Task[None]", stop: asyncio.Event, hurry: asyncio.Event
) -> None:
    if not opening.cancelled() and opening.exception() is not None:
        hurry.set()
        stop.set()


def _listeners(
    provider: Provider,
    where: Sequence[Address],
    sockets: Sequence[socket.socket],
    tls: ServerTls | None,
) -> list[Listener]:
    def refused(status: int) -> None:
        provider.metrics.requests.labels("transport", "none", status).inc()

    listeners = []
    for address, sock in zip(where, sockets, strict=True):
        if address.name == "telemetry.http":
            listeners.append(Listener(sock=sock, app=provider.telemetry))
            continue
        context = tls.context if tls is not None and address.name == "web.https" else None
        listeners.append(
            Listener(
                sock=sock,
                app=provider.web,
                documents=provider.documents,
                tls=context,
                on_refusal=refused,
            )
        )
    return listeners


async def _open(provider: Provider, settings: Settings) -> None:
    await provider.open()
    log_event(_log, logging.INFO, "ready", issuer=settings.issuer)


def _listening(where: Sequence[Address]) -> None:
    log_event(_log, logging.INFO, "listening", addresses=[str(address) for address in where])


def _draining(provider: Provider) -> None:
    provider.readiness.leaving()
    log_event(_log, logging.INFO, "draining")


def _follow_signals(stop: asyncio.Event, hurry: asyncio.Event, tls: ServerTls | None) -> None:
    """Stop on SIGTERM, at once where a person asks: by Ctrl-C, or for the second time."""
    loop = asyncio.get_running_loop()

    def terminate() -> None:
        if stop.is_set():
            hurry.set()
        stop.set()

    def interrupt() -> None:
        hurry.set()
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, terminate)
    loop.add_signal_handler(signal.SIGINT, interrupt)

    def reload_certificate() -> None:
        try:
            if tls is not None:
                tls.reload()
        except TlsUnusable as error:
            log_event(_log, logging.ERROR, "tls_reload_refused", reason=str(error))

    loop.add_signal_handler(signal.SIGHUP, reload_certificate)


async def _follow_certificate(tls: ServerTls | None, provider: Provider) -> None:
    if tls is not None:
        await follow_files(
            tls, on_reload=lambda result: provider.metrics.certificate_reloads.labels(result).inc()
        )
