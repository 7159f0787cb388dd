"""Who is known: clients, local users, and what administrators said of people."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from connectors.local import LocalUsers
from idp.app.connectors import open_connector
from idp.app.core import Surroundings
from idp.app.values import LOCAL, clients_of, local_users_of
from idp.login.connectors import LiveConnectors
from idp.login.reachability import Reach
from idp.login.usernames import canonical
from idp.metrics import Metrics
from idp.oauth.client import Clients, served
from idp.oauth.standing import NO_STANDINGS, Standings
from idp.objects import ObjectHooks, live_objects
from idp.objects.assembly import Timing
from idp.objects.kinds import ObjectSettings
from idp.objects.live_connectors import WrittenConnectors
from idp.objects.verdicts import State
from idp.settings import KubernetesStorage, Settings
from idp.settings.client_rules import ClientTerms
from idp.tasks import Job
from storage.objects import Leadership, ObjectKind, WrittenObjects


async def _known_at_once() -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """What requests look into, and the jobs that keep it true.

    `known` returns once everything was read for the first time; the jobs must be running.
    `on_reach` is told what became of asking the connector with an id.
    """

    clients: Clients
    users: Callable[[], LocalUsers]
    standings: Standings
    jobs: Mapping[str, Job] = field(default_factory=dict)
    known: Callable[[], Awaitable[None]] = _known_at_once
    on_reach: Callable[[str, Reach], None] = lambda _id, _reach: None


def people_of_file(settings: Settings, *, random: Callable[[int], bytes]) -> People:
    """Return who stands in the configuration file: nobody else can write to the store."""
    users = LocalUsers.of(local_users_of(settings), canonical=canonical, random=random)
    clients = served(clients_of(settings).values())
    return People(clients=clients, users=lambda: users, standings=NO_STANDINGS)


def people_of_objects(
    settings: Settings,
    *,
    written: WrittenObjects,
    leadership: Leadership,
    connectors: LiveConnectors,
    outside: Surroundings,
    metrics: Metrics,
    on_signed_out: Callable[[str, datetime], None],
) -> People:
    """Return who stands in the configuration file or was written as an object.

    `on_signed_out` is told before when logins of a `sub` count no more.
    """

    def count(kind: ObjectKind, counts: Mapping[State, int]) -> None:
        for state, number in counts.items():
            metrics.objects.labels(kind, state).set(number)

    config = settings.storage.config
    live = live_objects(
        written,
        leadership,
        settings=ObjectSettings(
            static_clients=clients_of(settings),
            static_users=local_users_of(settings),
            client_terms=ClientTerms(
                algorithms=settings.signer.config.algorithms,
                longest_tokens=settings.longest_tokens,
            ),
            static_connectors=tuple(connectors),
            generates_secrets=isinstance(config, KubernetesStorage)
            and config.generate_client_secrets,
            signs_in_local_users=settings.enable_password_db,
            local_connector_id=LOCAL,
        ),
        connectors=WrittenConnectors(
            connectors, lambda each: open_connector(each.id, each.config, outside, metrics)
        ),
        timing=Timing(clock=outside.clock, random=outside.random),
        hooks=ObjectHooks(on_counts=count, on_signed_out=on_signed_out),
    )
    return People(
        clients=live.clients,
        users=live.users.users,
        standings=live.standings,
        jobs=live.jobs,
        known=live.first_list,
        on_reach=live.reaches.note,
    )
