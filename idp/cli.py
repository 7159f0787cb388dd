"""The command `idp`. The only place that reads the environment and the command line.

Imports are inside the commands: `idp --help` need not load a web server.
"""

import argparse
import getpass
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from idp import __version__

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from idp.serve import Inherited
    from idp.settings import Settings

_UNUSABLE = 2
"""The exit status for a configuration or surroundings that cannot be used, as Dex has it."""

_METRICS_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its status."""
    options = _parser().parse_args(arguments)
    status: int = options.command(options)
    sys.exit(status)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="idp", description="An OpenID Connect identity provider for Kubernetes."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve a configuration until told to stop")
    serve.add_argument("config", type=Path, metavar="CONFIG", help="the configuration file (YAML)")
    serve.add_argument("--inherit", help=argparse.SUPPRESS)
    serve.set_defaults(command=_serve)
    check = commands.add_parser("check", help="tell everything that is wrong with a configuration")
    check.add_argument("config", type=Path, metavar="CONFIG", help="the configuration file (YAML)")
    check.set_defaults(command=_check)
    hashing = commands.add_parser(
        "hash-password", help="read a password and print its hash for staticPasswords"
    )
    hashing.set_defaults(command=_hash_password)
    version = commands.add_parser("version", help="print the version")
    version.set_defaults(command=_version)
    return parser


def _version(_: argparse.Namespace) -> int:
    print(f"idp {__version__} (Python {sys.version.split()[0]})")
    return 0


def _hash_password(_: argparse.Namespace) -> int:
    from connectors.passwords import UnusablePassword, new_hash

    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != password:
            print("The two passwords differ. Nothing was hashed.", file=sys.stderr)
            return _UNUSABLE
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    try:
        print(new_hash(password))
    except UnusablePassword as error:
        print(f"This password cannot be used: {error}", file=sys.stderr)
        return _UNUSABLE
    return 0


def _check(options: argparse.Namespace) -> int:
    settings = _load(options.config)
    if settings is None:
        return _UNUSABLE
    from idp.clock import system_clock
    from idp.serve import server_tls
    from idp.transport.tls import TlsUnusable

    try:
        server_tls(settings, system_clock)
    except TlsUnusable as error:
        print(f"{options.config}: {error}", file=sys.stderr)
        return _UNUSABLE
    for warning in settings.warnings:
        print(f"{options.config}: warning: {warning}", file=sys.stderr)
    print(f"{options.config}: ok, issuer {settings.issuer}")
    return 0


def _serve(options: argparse.Namespace) -> int:
    settings = _load(options.config)
    if settings is None:
        return _UNUSABLE
    from idp.keys.key_file import KeyFileError
    from idp.log import configure_logging
    from idp.transport.addresses import CannotListen
    from idp.transport.tls import TlsUnusable
    from storage.base import StorageError

    configure_logging(
        level=settings.logger.level,
        style=settings.logger.format,
        exclude_fields=settings.logger.exclude_fields,
        stream=sys.stderr,
    )
    try:
        if settings.web.workers > 1 and options.inherit is None:
            return _serve_workers(settings, options.config)
        return _serve_alone(settings, _inherited(options.inherit))
    except (CannotListen, TlsUnusable, StorageError, KeyFileError) as error:
        print(f"{options.config}: {error}", file=sys.stderr)
        return _UNUSABLE


def _serve_workers(settings: "Settings", config: Path) -> int:
    import tempfile

    from idp.serve import run_workers

    _tell_warnings(settings)
    with tempfile.TemporaryDirectory(prefix="idp-metrics-") as directory:
        # Workers add up their metrics through files; prometheus_client reads this variable.
        os.environ[_METRICS_DIRECTORY] = directory
        return run_workers(settings, config)


def _serve_alone(settings: "Settings", inherited: "Inherited | None") -> int:
    from idp.app import Surroundings
    from idp.clock import system_clock
    from idp.serve import run_alone

    if inherited is None:
        _tell_warnings(settings)
    registry, exposed = _registries()
    outside = Surroundings(
        clock=system_clock, random=secrets.token_bytes, registry=registry, exposed=exposed
    )
    run_alone(settings, outside, inherited)
    return 0


def _inherited(handed: str | None) -> "Inherited | None":
    if handed is None:
        return None
    from idp.serve import Inherited
    from idp.transport.workers import adopt_listener

    *listeners, lifeline = (int(number) for number in handed.split(","))
    return Inherited(tuple(adopt_listener(number) for number in listeners), lifeline)


def _registries() -> "tuple[CollectorRegistry, CollectorRegistry]":
    """Return where metrics are kept and where they are read: the same, but for workers."""
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    if _METRICS_DIRECTORY not in os.environ:
        ProcessCollector(registry=registry)
        return registry, registry
    exposed = CollectorRegistry()
    MultiProcessCollector(exposed)  # type: ignore[no-untyped-call]
    return registry, exposed


def _tell_warnings(settings: "Settings") -> None:
    import logging

    from idp.log import log_event

    for warning in settings.warnings:
        log_event(
            logging.getLogger("idp.settings"),
            logging.WARNING,
            "configuration_doubtful",
            problem=str(warning),
        )


def _load(path: Path) -> "Settings | None":
    """Return the settings, or None after telling every problem of the file."""
    from idp.settings import ConfigurationInvalid, load

    try:
        return load(path, environ=os.environ)
    except ConfigurationInvalid as invalid:
        for problem in invalid.problems:
            print(f"{path}: {problem}", file=sys.stderr)
        count = len(invalid.problems)
        print(
            f"{path}: {count} problem{'s' if count > 1 else ''}; nothing started", file=sys.stderr
        )
        return None
