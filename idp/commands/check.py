"""`idp check CONFIG`: everything that is wrong with a configuration, before anything is started."""

import asyncio
from pathlib import Path

from idp.commands.configuration import configuration
from idp.commands.console import OK, CommandUnusable, Console
from idp.serve import server_tls
from idp.settings import KubernetesStorage, Settings
from idp.transport.tls import TlsUnusable


def run(console: Console, config: Path) -> int:
    """Look at the configuration and at the certificates that it names."""
    settings = _checked(console, config)
    console.say(f"{config}: ok, issuer {settings.issuer}")
    return OK


def run_with_cluster(console: Console, config: Path) -> int:
    """Look at the configuration, and then at the cluster, with the server's own access."""
    settings = _checked(console, config)
    storage = settings.storage.config
    if not isinstance(storage, KubernetesStorage):
        raise CommandUnusable(
            f"{config}: --cluster is for `storage.type: kubernetes`; with"
            f" `{settings.storage.type}` no cluster is used"
        )
    from idp.commands.probe import probe

    console.say(f"{config}: ok, issuer {settings.issuer}")
    return asyncio.run(probe(console, storage))


def _checked(console: Console, config: Path) -> Settings:
    settings = configuration(config, console)
    try:
        server_tls(settings, console.clock)
    except TlsUnusable as error:
        raise CommandUnusable(f"{config}: {error}") from error
    for warning in settings.warnings:
        console.complain(f"{config}: warning: {warning}")
    return settings
