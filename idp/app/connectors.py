"""Which connectors people sign in with: those of the configuration file, and local users."""

from collections.abc import Callable

from connectors.base import PasswordConnector
from connectors.local import LocalConnector, LocalUsers
from connectors.passwords import PasswordHasher
from idp.app.core import Surroundings
from idp.app.values import LOCAL
from idp.login.connectors import LiveConnectors, OfferedConnector
from idp.settings import Settings


def live_connectors(
    settings: Settings,
    outside: Surroundings,
    *,
    users: Callable[[], LocalUsers],
    hasher: PasswordHasher,
) -> LiveConnectors:
    """Return the connectors that the settings name; those written as objects join them later."""
    found: dict[str, PasswordConnector] = {}
    if settings.enable_password_db:
        found[LOCAL] = LocalConnector(users=users, verify=hasher.verify)
    local = outside.wrap_connectors(found).get(LOCAL)
    return LiveConnectors(
        (),
        local=None if local is None else _local(local),
    )


def _local(connector: PasswordConnector) -> OfferedConnector:
    return OfferedConnector(id=LOCAL, name="Email", type="local", connector=connector)
