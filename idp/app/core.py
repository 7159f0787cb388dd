"""What most parts of the composition need, in one value."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from jinja2 import BytecodeCache
from prometheus_client import CollectorRegistry

from connectors.base import PasswordConnector
from connectors.ldap.config import LdapConfig
from idp.clock import Clock
from idp.grants.recent import RecentGrants
from idp.keys.jwks import new_signing_key
from idp.keys.seal import SealingKeys
from idp.log import AuditLog
from idp.login.connectors import LiveConnectors
from idp.metrics import Metrics
from idp.oauth.client import Clients
from idp.oauth.standing import Standings
from idp.registration.live import RegisteredClients
from idp.settings import Settings
from idp.transport.outbound import Outbound
from storage.base import Backend, Unreadable
from storage.collection import Collection, log_unreadable
from storage.kinds import (
    GRANTS,
    KEY_RINGS,
    REGISTERED_CLIENTS,
    USED_ASSERTIONS,
    USER_STATES,
    Kind,
    Record,
)
from storage.objects import WrittenObjects
from storage.records import (
    Grant,
    KeyRing,
    RegisteredClient,
    SigningKey,
    UsedAssertion,
    UserState,
)

R = TypeVar("R", bound=Record)

Connectors = Mapping[str, PasswordConnector]
"""Connectors by id."""


class OpenLdap(Protocol):
    """Makes the connector of one directory, and asks it nothing yet."""

    def __call__(
        self,
        config: LdapConfig,
        *,
        name: str,
        now: Clock,
        count: Callable[[str], None],
    ) -> PasswordConnector:
        """Return the connector; `count` gets names of events, `name` is the connector's in logs."""
        ...


def _open_ldap(
    config: LdapConfig, *, name: str, now: Clock, count: Callable[[str], None]
) -> PasswordConnector:
    # Here, because a provider without a directory need not load the protocol of one.
    from connectors.ldap.connector import open_ldap

    return open_ldap(config, name=name, now=now, count=count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What comes from outside: time, randomness, new keys, environment, registries of metrics.

    Metrics are kept in `registry` and read from `exposed`; only workers that add theirs up through
    files have two. The wrappers stand around the store, the connectors of the configuration, what
    people write and what is said of people, for faults and words that tests inject. Pages are
    compiled anew unless `compiled_pages` has them.
    """

    clock: Clock
    random: Callable[[int], bytes]
    registry: CollectorRegistry
    exposed: CollectorRegistry
    monotonic: Callable[[], float] = time.monotonic
    environ: Mapping[str, str] = field(default_factory=dict)
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    wrap_backend: Callable[[Backend], Backend] = field(default=lambda backend: backend)
    new_key: Callable[[str, datetime], SigningKey] = new_signing_key
    wrap_connectors: Callable[[Connectors], Connectors] = field(default=lambda found: found)
    wrap_standings: Callable[[Standings], Standings] = field(default=lambda said: said)
    wrap_written: Callable[[WrittenObjects | None], WrittenObjects | None] = field(
        default=lambda written: written
    )
    open_ldap: OpenLdap = _open_ldap
    system_trust: Callable[[], ssl.SSLContext] = ssl.create_default_context
    compiled_pages: BytecodeCache | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """What most parts need. `clients` are all that are served, those of `registered` included."""

    settings: Settings
    outside: Surroundings
    metrics: Metrics
    audit: AuditLog
    sealing: SealingKeys
    backend: Backend
    clients: Clients
    connectors: LiveConnectors
    standings: Standings
    outbound: Outbound
    registered: RegisteredClients
    recent: RecentGrants = field(default_factory=RecentGrants)

    @property
    def base_path(self) -> str:
        return urlsplit(self.settings.issuer).path

    @property
    def share(self) -> int:
        return self.settings.throttle.replicas * self.settings.web.workers

    @property
    def longest_tokens(self) -> timedelta:
        return self.settings.longest_tokens

    @property
    def grants(self) -> Collection[Grant]:
        return self._collection(GRANTS)

    @property
    def rings(self) -> Collection[KeyRing]:
        return self._collection(KEY_RINGS)

    @property
    def used_assertions(self) -> Collection[UsedAssertion]:
        return self._collection(USED_ASSERTIONS)

    @property
    def user_states(self) -> Collection[UserState]:
        return self._collection(USER_STATES)

    @property
    def registered_clients(self) -> Collection[RegisteredClient]:
        return self._collection(REGISTERED_CLIENTS)

    def _collection(self, kind: Kind[R]) -> Collection[R]:
        def unreadable(error: Unreadable) -> None:
            self.metrics.records_unreadable.labels(kind.name).inc()
            log_unreadable(error)

        return Collection(
            backend=self.backend,
            kind=kind,
            sealer=self.sealing,
            issuer=self.settings.issuer,
            on_unreadable=unreadable,
        )
