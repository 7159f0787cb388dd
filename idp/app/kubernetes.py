"""Opening the store in custom resources: access, definitions, sealing keys, what people write."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

from idp.app.core import Surroundings
from idp.app.patience import Patience
from idp.app.store import Store, sealing_keys
from idp.keys.key_source import FileSource, FixedSource, KeySource, StoredSource, read_or_create
from idp.log import log_event
from idp.settings import KubernetesStorage
from storage.kubernetes import crds
from storage.kubernetes.access import Access, from_kube_config, in_cluster
from storage.kubernetes.api import ApiServer, open_api_server
from storage.kubernetes.backend import KubernetesBackend
from storage.kubernetes.errors import Forbidden
from storage.kubernetes.lease import KubernetesLeadership
from storage.kubernetes.lease_object import LeaseObject
from storage.kubernetes.objects import KubernetesObjects
from storage.kubernetes.sealing_secret import SealingSecret
from storage.objects import ObjectKind

_log = logging.getLogger("idp.app")


async def open_kubernetes(
    config: KubernetesStorage,
    outside: Surroundings,
    opened: AsyncExitStack,
    *,
    on_contact: Callable[[ObjectKind], None],
) -> Store:
    """Open the store, waiting for an API server that is away.

    `on_contact` hears of signs of life of the watches. Raises StorageError and KeyFileError. What
    has to be closed is put on `opened`.
    """
    api = open_api_server(await _access(config, outside))
    opened.push_async_callback(api.close)
    wait = Patience(to_mend=(crds.CrdsMissing, Forbidden))
    handle = crds.ensure if config.crd_handling == "ensure" else crds.require
    await wait(lambda: handle(api))
    source = await wait(lambda: _key_source(config, outside, api))
    sealing = await sealing_keys(source, outside)
    backend = KubernetesBackend(api)
    opened.push_async_callback(backend.close)
    identity = f"{socket.gethostname()}-{outside.random(4).hex()}"
    return Store(
        backend=backend,
        sealing=sealing,
        key_source=source,
        written=KubernetesObjects(
            api,
            identity=identity,
            clock=outside.clock,
            monotonic=time.monotonic,
            on_contact=on_contact,
        ),
        leadership=KubernetesLeadership(
            LeaseObject(api),
            identity=identity,
            clock=outside.clock,
            monotonic=time.monotonic,
            sleep=asyncio.sleep,
            random_bytes=outside.random,
        ),
        wait=wait,
    )


async def _access(config: KubernetesStorage, outside: Surroundings) -> Access:
    namespace = config.namespace or ""
    if config.kube_config_file is not None:
        return await from_kube_config(config.kube_config_file, namespace=namespace)
    return await in_cluster(outside.environ, namespace=namespace)


async def _key_source(
    config: KubernetesStorage, outside: Surroundings, api: ApiServer
) -> KeySource:
    if config.key_file is not None:
        return FileSource(config.key_file, outside.random)
    if config.key_env is not None:
        return FixedSource(
            outside.environ[config.key_env], where=f"environment variable {config.key_env}"
        )
    name = config.sealing_secret or ""
    secret = SealingSecret(api=api, random_bytes=outside.random, name=name)
    source = StoredSource(
        where=f"Secret {api.namespace}/{name}", reading=secret.read, replacing=secret.replace
    )
    await read_or_create(source, secret.create_if_absent, outside.random)
    log_event(
        _log,
        logging.WARNING,
        "sealing_key_in_cluster",
        secret=f"{api.namespace}/{name}",
        problem="the sealing keys are in the same etcd as what they seal: unless the API server"
        " encrypts Secrets (--encryption-provider-config), a dump of etcd opens everything; or"
        " mount the keys from elsewhere and name them in storage.config.keyFile",
    )
    return source
