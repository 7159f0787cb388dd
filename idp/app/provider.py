"""The composition root: read `build_provider` and `_assemble` from top to bottom.

Here the settings meet the concrete classes; everything below is handed values and ports.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.types import ASGIApp

from connectors.passwords import PasswordHasher
from idp.app.core import Core, Surroundings
from idp.app.values import (
    LEEWAY,
    clients_of,
    connectors_of,
    cors_of,
    rotation_pace,
    rotation_policy,
)
from idp.app.web import web_app
from idp.grants.ended import EndedGrants, follow_ended_grants
from idp.keys.key_file import load_or_create
from idp.keys.live import LiveKeys
from idp.keys.ring import RotationPolicy
from idp.keys.rotate import Kept, KeyKeeper
from idp.keys.seal import SECRET_LENGTH, SealingKey, SealingKeys
from idp.log import Audit, AuditLog, log_event
from idp.metrics import Metrics
from idp.oauth.metadata import Served, discovery_document
from idp.settings import MemoryStorage, Settings, SqliteStorage
from idp.tasks import BackgroundJobs
from idp.transport.documents import Documents
from idp.web.documents import Published
from idp.web.middleware import security_headers
from idp.web.telemetry import telemetry_app
from storage.base import Backend
from storage.memory import MemoryBackend
from storage.records import KeyRing
from storage.sqlite import SqliteBackend
from storage.sweep import Sweeper

RING_NAME = "signing-keys"


class Readiness:
    """Whether the process wants requests: the state behind the readiness probe."""

    def __init__(self) -> None:
        self.state = "starting"

    def check(self) -> str:
        """Return "ok", "starting" or "draining"."""
        return self.state


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider that is ready to be served; `close` lets go of everything that was opened."""

    web: ASGIApp
    telemetry: ASGIApp
    documents: Documents
    metrics: Metrics
    readiness: Readiness
    jobs: BackgroundJobs
    close: Callable[[], Awaitable[None]]


async def build_provider(settings: Settings, outside: Surroundings) -> Provider:
    """Open the store, make or read the keys, and put everything together.

    Raises StorageError and KeyFileError with a text for the operator.
    """
    metrics = Metrics(outside.registry)
    opened, sealing = await _open_store(settings, outside)
    backend = outside.wrap_backend(opened)
    hasher = PasswordHasher(running=os.cpu_count() or 1, waiting=64)
    core = Core(
        settings=settings,
        outside=outside,
        metrics=metrics,
        audit=_counted_audit(metrics),
        sealing=sealing,
        backend=backend,
        clients=clients_of(settings),
        connectors=outside.wrap_connectors(connectors_of(settings, hasher)),
    )
    try:
        return await _assemble(core, hasher)
    except BaseException:
        await backend.close()
        raise


async def _assemble(core: Core, hasher: PasswordHasher) -> Provider:
    settings = core.settings
    policy = rotation_policy(settings)
    live = LiveKeys(policy)
    published = _published(core, live, policy)
    keeper = KeyKeeper(
        core.rings,
        name=RING_NAME,
        policy=policy,
        clock=core.outside.clock,
        on_change=_key_change(core, live, published),
        new_key=core.outside.new_key,
        pace=rotation_pace(policy),
    )
    await keeper.start()
    ended = EndedGrants(
        clock=core.outside.clock,
        keep_for=core.token_lifetime + LEEWAY,
        on_count=core.metrics.ended_grants.set,
    )
    readiness = Readiness()
    sweeper = Sweeper(
        collection=core.grants,
        clock=core.outside.clock,
        sleep=asyncio.sleep,
        random_bytes=core.outside.random,
    )
    jobs = BackgroundJobs(
        {
            "keys": lambda: keeper.run(_report_keys),
            "ended grants": lambda: follow_ended_grants(core.grants, ended),
            "sweeper": sweeper.run,
        }
    )

    async def close() -> None:
        await jobs.stop()
        hasher.close()
        await core.backend.close()

    return Provider(
        web=web_app(core, live, ended, readiness.check),
        telemetry=telemetry_app(ready={"provider": readiness.check}, registry=core.outside.exposed),
        documents=published.documents,
        metrics=core.metrics,
        readiness=readiness,
        jobs=jobs,
        close=close,
    )


async def _open_store(settings: Settings, outside: Surroundings) -> tuple[Backend, SealingKeys]:
    config = settings.storage.config
    match config:
        case SqliteStorage():
            keys = load_or_create(config.sealing_key_file, outside.random)
            return await SqliteBackend.open(config.file), SealingKeys(keys, random=outside.random)
        case MemoryStorage():
            # The key may die with the process, as everything that it seals does.
            key = SealingKey(outside.random(SECRET_LENGTH))
            return MemoryBackend(), SealingKeys([key], random=outside.random)


def _published(core: Core, live: LiveKeys, policy: RotationPolicy) -> Published:
    settings = core.settings

    def discovery() -> bytes:
        return discovery_document(
            Served(
                issuer=settings.issuer,
                grant_types=settings.oauth2.grant_types,
                signing_algorithms=sorted({*policy.algorithms, *live.signer.algorithms}),
            )
        )

    def count(path: str, status: int) -> None:
        core.metrics.documents.labels(path, status).inc()

    return Published(
        base_path=core.base_path,
        discovery=discovery,
        documents=Documents(allowed_origin=cors_of(settings).allows, on_document=count),
        headers=security_headers(settings.issuer),
        key_cache_for=settings.expiry.key_cache_for,
    )


def _key_change(
    core: Core, live: LiveKeys, published: Published
) -> Callable[[KeyRing, KeyRing], None]:
    def adopt(publish: KeyRing, sign: KeyRing) -> None:
        live.adopt(publish, sign)
        published.publish(live.key_set)
        states = {"next": 0, "signing": 0, "retired": 0}
        for key in publish.keys:
            retired = "retired" if key.retired_at is not None else "signing"
            states["next" if key.signs_from is None else retired] += 1
        for state, count in states.items():
            core.metrics.signing_keys.labels(state).set(count)

    return adopt


def _report_keys(kept: Kept) -> None:
    if kept.problem is not None:
        log_event(
            logging.getLogger("idp.keys"),
            logging.ERROR,
            "keys_not_refreshed",
            problem=str(kept.problem),
        )


def _counted_audit(metrics: Metrics) -> AuditLog:
    log = Audit(logging.getLogger("idp.audit"))

    def audit(event: str, /, **fields: str | int) -> None:
        metrics.events.labels(event).inc()
        log(event, **fields)

    return audit
