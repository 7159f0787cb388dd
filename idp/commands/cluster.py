"""The way into a cluster, with the rights of whoever runs the command."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from idp.commands.console import CommandFailed, CommandUnusable, Console
from idp.commands.targets import Store, Target, settings_of
from idp.settings import KubernetesStorage
from storage.kubernetes.access import Access, AccessUnusable, from_kube_config, in_cluster
from storage.kubernetes.api import ApiServer, open_api_server
from storage.kubernetes.backend import KubernetesBackend
from storage.kubernetes.errors import Unavailable
from storage.kubernetes.resources import REQUESTS, STATE

MERGE_PATCH = "application/merge-patch+json"


@asynccontextmanager
async def open_cluster(target: Target, console: Console) -> AsyncIterator[ApiServer]:
    """Open the way to the API server for as long as the block lasts.

    Raises CommandUnusable where the configuration names another store.
    """
    settings = settings_of(target, console)
    storage = settings.storage.config if settings is not None else None
    if storage is not None and not isinstance(storage, KubernetesStorage):
        raise CommandUnusable(f"{target.config}: this needs `storage.type: kubernetes`")
    async with _api_server(target, storage, console) as api:
        yield api


@asynccontextmanager
async def cluster_store(
    target: Target, storage: KubernetesStorage | None, console: Console
) -> AsyncIterator[Store]:
    """Open the store in the custom resources of a namespace."""
    async with _api_server(target, storage, console) as api:

        async def request(kind: str, name: str, key: str, value: str) -> None:
            await api.call(
                "PATCH",
                STATE[kind].path(api.namespace, name),
                body={"metadata": {"annotations": {REQUESTS[f"request/{key}"]: value}}},
                content_type=MERGE_PATCH,
            )

        where = f"namespace {api.namespace}"
        yield Store(backend=KubernetesBackend(api), where=where, request=request)


async def access_of(storage: KubernetesStorage, console: Console) -> Access:
    """Return the access of a server with these settings. Raises StorageUnavailable."""
    namespace = storage.namespace or ""
    if storage.kube_config_file is not None:
        return await from_kube_config(storage.kube_config_file, namespace=namespace)
    return await in_cluster(console.environ, namespace=namespace)


def default_kubeconfig(console: Console) -> Path:
    """Return the kubeconfig that kubectl would use. Raises CommandUnusable if there is none."""
    named = [Path(name) for name in console.environ.get("KUBECONFIG", "").split(":") if name]
    usual = named or [Path(console.environ.get("HOME", "/")) / ".kube" / "config"]
    found = [path for path in usual if path.is_file()]
    if not found:
        looked = ", ".join(str(path) for path in usual)
        raise CommandUnusable(
            f"There is no kubeconfig (looked for {looked}). Name one with --kubeconfig, or the"
            " server's configuration with --config"
        )
    if len(found) > 1:
        raise CommandUnusable(
            f"KUBECONFIG names several files ({', '.join(map(str, found))}): say which one with"
            " --kubeconfig"
        )
    return found[0]


@asynccontextmanager
async def _api_server(
    target: Target, storage: KubernetesStorage | None, console: Console
) -> AsyncIterator[ApiServer]:
    """Open the way to the API server of these settings, or to the one that kubectl uses."""
    access = await (_kubectls(target, console) if storage is None else access_of(storage, console))
    api = open_api_server(access)
    try:
        yield api
    except Unavailable as error:
        if error.status is not None:
            raise
        raise CommandFailed(
            f"The API server {access.credentials.server} does not answer: {error}. Does it run, and"
            " does this machine reach it?"
        ) from error
    finally:
        await api.close()


async def _kubectls(target: Target, console: Console) -> Access:
    kubeconfig = target.kubeconfig or default_kubeconfig(console)
    try:
        return await from_kube_config(kubeconfig, namespace=target.namespace)
    except AccessUnusable as error:
        # It is named as in the configuration, of which there is none here.
        told = str(error).removeprefix("storage.config.kubeConfigFile: ")
        raise CommandUnusable(f"kubeconfig {told}") from error
