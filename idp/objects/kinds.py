"""How objects of each kind are judged, given what the configuration file says."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from connectors.local import LocalUser
from idp.login.usernames import canonical
from idp.oauth.client import Client
from idp.objects.clients import CLIENT_ID, client_claims, client_need, judge_client
from idp.objects.connectors import (
    CONNECTOR_ID,
    WrittenConnector,
    connector_claims,
    connector_needs,
    judge_connector,
)
from idp.objects.roster import Roster, Rules, at_most_one, with_one_secret
from idp.objects.user_states import UserState, judge_user_state, says_something
from idp.objects.users import EMAIL, USER_ID, judge_user, user_claims, user_need
from idp.objects.verdicts import Claim, SecretNeed, SecretReading
from idp.settings.client_rules import ClientTerms
from storage.objects import ObjectKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSettings:
    """What the configuration says: its own entries, which win, and what is switched on.

    Without `signs_in_local_users` such objects are read, since they may lock, and serve nobody.
    """

    static_clients: Mapping[str, Client]
    static_users: Sequence[LocalUser]
    client_terms: ClientTerms
    static_connectors: Collection[str] = ()
    generates_secrets: bool
    signs_in_local_users: bool
    local_connector_id: str = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rosters:
    """The objects of all kinds."""

    clients: Roster[Client]
    users: Roster[LocalUser]
    connectors: Roster[WrittenConnector]
    states: Roster[UserState]

    @property
    def answered(self) -> Mapping[ObjectKind, Roster[Any]]:
        """Return those whose objects have a status."""
        return {each.kind: each for each in (self.clients, self.users, self.connectors)}


def rosters_of(
    settings: ObjectSettings, read_secret: Callable[[SecretNeed], SecretReading | None]
) -> Rosters:
    """Return the rosters, empty; `read_secret` tells what was last read of a Secret."""
    return Rosters(
        clients=Roster(_client_rules(settings), read_secret),
        users=Roster(_user_rules(settings), read_secret),
        connectors=Roster(_connector_rules(settings), read_secret),
        states=Roster(_STATE_RULES, read_secret),
    )


def _client_rules(settings: ObjectSettings) -> Rules[Client]:
    generates = settings.generates_secrets

    def is_taken(claim: Claim) -> bool:
        return claim.what == CLIENT_ID and claim.value in settings.static_clients

    return Rules(
        kind="oidc-clients",
        judge=with_one_secret(
            partial(judge_client, generates=generates, terms=settings.client_terms)
        ),
        claims=client_claims,
        needs=at_most_one(partial(client_need, generates=generates)),
        taken=is_taken,
    )


def _user_rules(settings: ObjectSettings) -> Rules[LocalUser]:
    static = {Claim(EMAIL, canonical(user.email)) for user in settings.static_users}
    static |= {Claim(USER_ID, user.user_id) for user in settings.static_users}
    return Rules(
        kind="local-users",
        judge=with_one_secret(partial(judge_user, signs_in=settings.signs_in_local_users)),
        claims=user_claims,
        needs=at_most_one(user_need),
        taken=static.__contains__,
    )


def _connector_rules(settings: ObjectSettings) -> Rules[WrittenConnector]:
    static = {Claim(CONNECTOR_ID, connector_id) for connector_id in settings.static_connectors}
    return Rules(
        kind="identity-connectors",
        judge=judge_connector,
        claims=connector_claims,
        needs=connector_needs,
        taken=static.__contains__,
    )


_STATE_RULES: Rules[UserState] = Rules(
    kind="user-states",
    judge=lambda written, _: judge_user_state(written),
    matters=says_something,
)
