"""Which store a command works on, and the way into it.

A command gets in with the rights of whoever runs it, and without a sealing key: it lists, deletes
and asks the server, by an annotation or a column, to do the rest.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from idp.commands.configuration import configuration
from idp.commands.console import CommandUnusable, Console
from idp.settings import KubernetesStorage, MemoryStorage, Settings, SqliteStorage
from storage.base import Backend


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the command line says of the store; with nothing said it is where kubectl works."""

    config: Path | None = None
    kubeconfig: Path | None = None
    namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """An open store. `where` names it in messages.

    `request(kind, name, key, value)` leaves a request at a document, which a server answers.
    """

    backend: Backend
    where: str
    request: Callable[[str, str, str, str], Awaitable[None]]


def settings_of(target: Target, console: Console) -> Settings | None:
    """Return the settings that the target names, if it names any. Raises CommandUnusable."""
    if target.config is None:
        return None
    if target.kubeconfig is not None or target.namespace:
        raise CommandUnusable(
            "Give either the server's configuration, or --kubeconfig and --namespace: the"
            " configuration says where the cluster is"
        )
    return configuration(target.config, console)


def open_store(target: Target, console: Console) -> AbstractAsyncContextManager[Store]:
    """Return the store, open for as long as a `with` block lasts.

    Raises CommandUnusable where there is none to talk to, StorageError where it cannot be asked.
    """
    # Only what is needed is imported: the way to a cluster alone takes longer than all else.
    settings = settings_of(target, console)
    storage = settings.storage.config if settings is not None else None
    match storage:
        case MemoryStorage():
            raise CommandUnusable(
                f"{target.config}: with `storage.type: memory` everything is in the memory of the"
                " server's process; there is nothing to talk to. Restarting the server ends all"
                " sessions and makes new keys"
            )
        case SqliteStorage():
            from idp.commands.database import database_store

            return database_store(storage.file)
        case KubernetesStorage() | None:
            from idp.commands.cluster import cluster_store

            return cluster_store(target, storage, console)
