"""`idp serve CONFIG`: the provider itself, alone or as several workers."""

import logging
import secrets
import tempfile
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.multiprocess import MultiProcessCollector

from idp.app import Surroundings
from idp.commands.configuration import configuration
from idp.commands.console import OK, CommandUnusable, Console
from idp.keys.key_file import KeyFileError
from idp.log import configure_logging, log_event
from idp.serve import Inherited, run_alone, run_workers
from idp.settings import Settings
from idp.transport.addresses import CannotListen
from idp.transport.tls import TlsUnusable
from idp.transport.workers import adopt_listener
from storage.base import StorageError

_METRICS_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"


def run(console: Console, config: Path, *, inherit: str | None) -> int:
    """Serve until told to stop; `inherit` is what a worker gets from its parent."""
    settings = configuration(config, console)
    configure_logging(
        level=settings.logger.level,
        style=settings.logger.format,
        exclude_fields=settings.logger.exclude_fields,
        stream=console.err,
    )
    try:
        if settings.web.workers > 1 and inherit is None:
            return _serve_workers(settings, config, console)
        return _serve_alone(settings, _inherited(inherit), console)
    except (CannotListen, TlsUnusable, StorageError, KeyFileError) as error:
        raise CommandUnusable(f"{config}: {error}") from error


def _serve_workers(settings: Settings, config: Path, console: Console) -> int:
    _tell_warnings(settings)
    with tempfile.TemporaryDirectory(prefix="idp-metrics-") as directory:
        # Workers add up their metrics through files; prometheus_client reads this variable.
        console.environ[_METRICS_DIRECTORY] = directory
        return run_workers(settings, config)


def _serve_alone(settings: Settings, inherited: Inherited | None, console: Console) -> int:
    if inherited is None:
        _tell_warnings(settings)
    registry, exposed = _registries(console)
    outside = Surroundings(
        clock=console.clock,
        random=secrets.token_bytes,
        registry=registry,
        exposed=exposed,
        environ=console.environ,
    )
    run_alone(settings, outside, inherited)
    return OK


def _inherited(handed: str | None) -> Inherited | None:
    if handed is None:
        return None
    *listeners, lifeline = (int(number) for number in handed.split(","))
    return Inherited(tuple(adopt_listener(number) for number in listeners), lifeline)


def _registries(console: Console) -> tuple[CollectorRegistry, CollectorRegistry]:
    """Return where metrics are kept and where they are read: the same, but for workers."""
    registry = CollectorRegistry()
    if _METRICS_DIRECTORY not in console.environ:
        ProcessCollector(registry=registry)
        return registry, registry
    exposed = CollectorRegistry()
    MultiProcessCollector(exposed)  # type: ignore[no-untyped-call]
    return registry, exposed


def _tell_warnings(settings: Settings) -> None:
    for warning in settings.warnings:
        log_event(
            logging.getLogger("idp.settings"),
            logging.WARNING,
            "configuration_doubtful",
            problem=str(warning),
        )
