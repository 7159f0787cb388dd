"""Which connectors people sign in with, and who looks after them in the background."""

import math
from collections.abc import Callable, Iterator

from connectors.base import PasswordConnector
from connectors.ldap.config import LdapConfig
from connectors.local import LocalConnector, LocalUsers
from connectors.passwords import PasswordHasher
from idp.app.core import Core, Surroundings
from idp.app.values import LOCAL
from idp.login.connectors import LiveConnectors, OfferedConnector
from idp.login.reachability import ConnectorKeeper, Reach
from idp.metrics import Metrics
from idp.settings import Settings
from idp.settings.ldap import LdapFile
from idp.settings.ldap_config import config_of_file


def live_connectors(
    settings: Settings,
    outside: Surroundings,
    metrics: Metrics,
    *,
    users: Callable[[], LocalUsers],
    hasher: PasswordHasher,
) -> LiveConnectors:
    """Return the connectors that the settings name; those written as objects join them later."""
    found = dict(_of_file(settings, outside, metrics))
    if settings.enable_password_db:
        found[LOCAL] = LocalConnector(users=users, verify=hasher.verify)
    found = dict(outside.wrap_connectors(found))
    local = found.get(LOCAL) if settings.enable_password_db else None
    return LiveConnectors(
        (
            OfferedConnector(
                id=section.id,
                name=section.name,
                type=section.type,
                connector=found[section.id],
            )
            for section in settings.connectors
        ),
        local=None if local is None else _local(local),
    )


def open_connector(
    connector_id: str, config: LdapConfig, outside: Surroundings, metrics: Metrics
) -> PasswordConnector:
    """Return a connector that counts and logs under its id."""

    def count(event: str) -> None:
        metrics.connector_events.labels(connector_id, event).inc()

    return outside.open_ldap(config, name=connector_id, now=outside.clock, count=count)


def connector_keeper(core: Core, on_reach: Callable[[str, Reach], None]) -> ConnectorKeeper:
    """Return what asks the connectors whether they are reachable, and closes what is gone.

    `on_reach` is told ids and answers.
    """
    metric = core.metrics.connector_reachable

    def note(offered: OfferedConnector, reach: Reach) -> None:
        metric.labels(offered.id).set(1 if reach.is_reachable else 0)
        on_reach(offered.id, reach)

    def forget(connector_id: str) -> None:
        # Workers add their metrics up through files, out of which no series can be taken.
        metric.labels(connector_id).set(math.nan)

    return ConnectorKeeper(
        connectors=core.connectors,
        on_reach=note,
        on_gone=forget,
        random=core.outside.random,
    )


def _of_file(
    settings: Settings, outside: Surroundings, metrics: Metrics
) -> Iterator[tuple[str, PasswordConnector]]:
    for section in settings.connectors:
        if isinstance(section.config, LdapFile):
            yield (
                section.id,
                open_connector(section.id, config_of_file(section.config), outside, metrics),
            )


def _local(connector: PasswordConnector) -> OfferedConnector:
    return OfferedConnector(id=LOCAL, name="Email", type="local", connector=connector)
