"""`idp check --cluster`: what a server with this configuration would find in the cluster.

It reads only, a little of each kind. What the server writes is not tried.
"""

import secrets
from collections.abc import Awaitable, Callable
from functools import partial

from idp.commands.cluster import access_of
from idp.commands.console import FAILED, OK, Console
from idp.keys.key_file import KeyFileError, load, parse
from idp.settings import KubernetesStorage
from storage.base import NotFound, StorageError
from storage.kubernetes.api import ApiServer, open_api_server
from storage.kubernetes.crds import CrdsMissing, Manifest, manifests
from storage.kubernetes.errors import Forbidden, Unavailable
from storage.kubernetes.sealing_secret import SealingSecret


async def probe(console: Console, storage: KubernetesStorage) -> int:
    """Print one line for each thing, `ok` or `problem`; return 1 if there is a problem."""
    try:
        api = open_api_server(await access_of(storage, console))
    except StorageError as error:
        return _told(console, "API server", error)
    try:
        status = await _tried(console, "API server", partial(_version, api))
        if status != OK:
            return status
        statuses = [
            await _tried(console, manifest.name, partial(_listed, api, storage, manifest))
            for manifest in manifests()
        ]
        statuses.append(
            await _tried(console, "sealing keys", partial(_sealing_keys, api, storage, console))
        )
        return max(statuses)
    finally:
        await api.close()


async def _tried(console: Console, name: str, look: Callable[[], Awaitable[str]]) -> int:
    try:
        console.say(f"ok       {name}: {await look()}")
    except (StorageError, KeyFileError) as error:
        return _told(console, name, error)
    return OK


def _told(console: Console, name: str, error: Exception) -> int:
    console.say(f"problem  {name}: {error}")
    return FAILED


async def _version(api: ApiServer) -> str:
    try:
        version = (await api.call("GET", "/version")).get("gitVersion", "")
    except Forbidden as error:
        if error.status == 401:
            raise
        version = "of a version that it does not tell"
    return f"answers, {version}; namespace {api.namespace}"


async def _listed(api: ApiServer, storage: KubernetesStorage, manifest: Manifest) -> str:
    try:
        await api.call("GET", manifest.path(api.namespace), query={"limit": "1"})
    except Unavailable as error:
        if error.status != 404:
            raise
        if storage.crd_handling == "ensure":
            return "not served yet; the server applies it at its start (crdHandling: ensure)"
        raise CrdsMissing([manifest.name]) from error
    return "served, and may be listed"


async def _sealing_keys(api: ApiServer, storage: KubernetesStorage, console: Console) -> str:
    if storage.key_file is not None:
        where = f"file {storage.key_file}"
        keys = load(storage.key_file)
    elif storage.key_env is not None:
        where = f"variable {storage.key_env}"
        keys = parse(console.environ[storage.key_env], where=where)
    else:
        secret = SealingSecret(
            api=api, random_bytes=secrets.token_bytes, name=storage.sealing_secret or ""
        )
        where = f"Secret {api.namespace}/{secret.name}"
        try:
            text, _ = await secret.read()
        except NotFound:
            return f"{where} is not there yet; the server makes it at its first start"
        keys = parse(text, where=where)
    return f"{len(keys)} in the {where}"
