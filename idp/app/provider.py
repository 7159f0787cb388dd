"""The composition root: read `Provider` from top to bottom.

Here the settings meet the concrete classes; everything below is handed values and ports.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime

from starlette.types import ASGIApp

from connectors.passwords import PasswordHasher
from idp.app.background import store_jobs
from idp.app.connectors import connector_keeper, live_connectors
from idp.app.core import Core, Surroundings
from idp.app.people import People, people_of_file, people_of_objects
from idp.app.sessions import Ends, ends_of
from idp.app.store import Store, open_memory, open_sqlite
from idp.app.values import (
    all_clients,
    cors_of,
    offered_claims,
    outbound_of,
    rotation_pace,
    rotation_policy,
    served_by,
)
from idp.app.web import outermost, renderer_of, web_app
from idp.grants.ended import follow_ended_grants
from idp.keys.live import LiveKeys
from idp.keys.ring import RotationPolicy
from idp.keys.rotate import Kept, KeyKeeper
from idp.log import Audit, AuditLog, log_event
from idp.login.connectors import LiveConnectors
from idp.metrics import Metrics
from idp.oauth.metadata import discovery_document
from idp.registration.live import RegisteredClients, RegistrationFollower
from idp.settings import KubernetesStorage, MemoryStorage, Settings, SqliteStorage
from idp.tasks import BackgroundJobs
from idp.transport.documents import Documents
from idp.web.documents import Published, follow_discovery
from idp.web.middleware import security_headers
from idp.web.opening import UntilOpen
from idp.web.telemetry import telemetry_app
from storage.records import KeyRing

RING_NAME = "signing-keys"


class Readiness:
    """Whether the process wants requests: the state behind the readiness probe."""

    def __init__(self) -> None:
        self._state = "starting"

    def check(self) -> str:
        """Return "ok", "starting" or "draining"."""
        return self._state

    def opened(self) -> None:
        """Want requests, unless the process is leaving already."""
        if self._state == "starting":
            self._state = "ok"

    def leaving(self) -> None:
        """Want none any more."""
        self._state = "draining"


class Provider:
    """A provider that can be served at once, and serves in earnest after `open`.

    `close` lets go of everything that was opened, however far `open` came.
    """

    def __init__(self, settings: Settings, outside: Surroundings) -> None:
        """Put together what needs no store: until `open` is done visitors are asked to wait."""
        self.metrics = Metrics(outside.registry)
        self.readiness = Readiness()
        self.documents = _documents(settings, self.metrics)
        self._renderer = renderer_of(settings, self.metrics, compiled=outside.compiled_pages)
        self._front = UntilOpen(self._renderer)
        self.web: ASGIApp = outermost(settings, outside, self.metrics, self._front)
        self.telemetry: ASGIApp = telemetry_app(
            ready={"provider": self.readiness.check}, registry=outside.exposed
        )
        self._settings = settings
        self._outside = outside
        self._opened = AsyncExitStack()

    async def open(self) -> None:
        """Open the store, make or read the keys, and start to serve and to work.

        Raises StorageError, KeyFileError and TlsUnusable with a text for the operator.
        """
        settings, outside = self._settings, self._outside
        store = await self._open_store()
        registered = RegisteredClients(on_count=self.metrics.registered_clients.set)
        hasher = PasswordHasher(running=os.cpu_count() or 1, waiting=64)
        self._opened.callback(hasher.close)
        # Local users may be objects, and connectors too: each waits for the other to be looked up.
        connectors = live_connectors(
            settings, outside, self.metrics, users=lambda: people.users(), hasher=hasher
        )
        # Whoever is signed out is heard of by jobs, which run once all of this is put together.
        people = self._people(
            store, connectors, on_signed_out=lambda sub, at: ends.endings.hear_signed_out(sub, at)
        )
        outbound = outbound_of(settings, self._outside.system_trust)
        self._opened.push_async_callback(outbound.close)
        core = Core(
            settings=settings,
            outside=outside,
            metrics=self.metrics,
            audit=_counted_audit(self.metrics),
            sealing=store.sealing,
            backend=outside.wrap_backend(store.backend),
            clients=all_clients(settings, people.clients, registered),
            connectors=connectors,
            standings=outside.wrap_standings(people.standings),
            outbound=outbound,
            registered=registered,
        )
        live = LiveKeys(rotation_policy(settings))
        ends = ends_of(core, live, store.leadership)
        await self._assemble(core, store, people, live, ends)

    async def close(self) -> None:
        """End the background jobs, then close what they used."""
        await self._opened.aclose()

    async def _open_store(self) -> Store:
        config, outside = self._settings.storage.config, self._outside
        match config:
            case SqliteStorage():
                return await open_sqlite(config, outside, self._opened)
            case MemoryStorage():
                return await open_memory(outside, self._opened)
            case KubernetesStorage():
                # Here, because a provider without Kubernetes need not load a client for it.
                from idp.app.kubernetes import open_kubernetes

                return await open_kubernetes(
                    config, outside, self._opened, on_contact=self._note_contact
                )

    def _note_contact(self, kind: str) -> None:
        self.metrics.watch_contact.labels(kind).set(self._outside.clock().timestamp())

    def _people(
        self,
        store: Store,
        connectors: LiveConnectors,
        *,
        on_signed_out: Callable[[str, datetime], None],
    ) -> People:
        written = self._outside.wrap_written(store.written)
        if written is None:
            return people_of_file(self._settings, random=self._outside.random)
        return people_of_objects(
            self._settings,
            written=written,
            leadership=store.leadership,
            connectors=connectors,
            outside=self._outside,
            metrics=self.metrics,
            on_signed_out=on_signed_out,
        )

    async def _assemble(
        self, core: Core, store: Store, people: People, live: LiveKeys, ends: Ends
    ) -> None:
        policy = rotation_policy(core.settings)
        published = _published(core, live, policy, self.documents)
        keeper = KeyKeeper(
            core.rings,
            name=RING_NAME,
            policy=policy,
            clock=core.outside.clock,
            on_change=_key_change(core, live, published),
            new_key=core.outside.new_key,
            pace=rotation_pace(policy),
            audit=core.audit,
        )
        await store.wait(keeper.start)
        registrations = RegistrationFollower(
            core.registered_clients, core.registered, on_gone=ends.endings.hear_client_gone
        )

        def publish() -> None:
            published.publish(live.key_set)

        jobs = BackgroundJobs(
            {
                "keys": lambda: keeper.run(_report_keys),
                "ended grants": lambda: follow_ended_grants(core.grants, ends.ended),
                "ended sessions": ends.endings.run,
                "logout notices": ends.notices.run,
                "registered clients": registrations.run,
                "discovery": lambda: follow_discovery(
                    published.discovery, publish, pause=asyncio.sleep
                ),
                **store_jobs(core, store, keeper),
                "connectors": connector_keeper(core, people.on_reach).run,
                **people.jobs,
            }
        )
        web = web_app(core, live, ends.ended, ends.notices, self.readiness.check, self._renderer)
        jobs.start()
        self._opened.push_async_callback(jobs.stop)
        await people.known()
        await registrations.first_list()
        publish()
        self._front.open(web)
        self.readiness.opened()


def _documents(settings: Settings, metrics: Metrics) -> Documents:
    def count(path: str, status: int) -> None:
        metrics.documents.labels(path, status).inc()

    return Documents(allowed_origin=cors_of(settings).allows, on_document=count)


def _published(
    core: Core, live: LiveKeys, policy: RotationPolicy, documents: Documents
) -> Published:
    settings = core.settings

    def discovery() -> bytes:
        return discovery_document(
            served_by(
                settings,
                algorithms={*policy.algorithms, *live.signer.algorithms},
                claims=offered_claims(core.connectors),
            )
        )

    return Published(
        base_path=core.base_path,
        discovery=discovery,
        documents=documents,
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
