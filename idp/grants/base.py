"""The port of a grant."""

import logging
from collections.abc import Container
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from idp.log import AuditLog, log_event
from idp.oauth.client import Client, Clients
from idp.oauth.errors import InvalidGrant, InvalidScope, TemporarilyUnavailable
from idp.oauth.params import Parameters
from idp.oauth.policies import may_sign_in_with
from idp.oauth.scopes import check_granted
from idp.oauth.standing import Standings, login_counts
from idp.tokens.authorization import Authorization
from idp.tokens.issue import TokenIssuer, TokenSet
from idp.tokens.size import TokenTooLarge, check_tokens
from storage.base import SealUnknown, StorageUnavailable
from storage.records import Grant

_log = logging.getLogger("idp.grants")

RETRY_AFTER: Final = timedelta(seconds=2)


class GrantHandler(Protocol):
    """Turns one kind of grant into tokens."""

    @property
    def grant_type(self) -> str:
        """Return the wire name."""
        ...

    def allows(self, client: Client) -> bool:
        """Return whether this client may use the grant at all (`unauthorized_client` if not)."""
        ...

    async def redeem(self, form: Parameters, client: Client) -> TokenSet:
        """Return tokens for an authenticated client that the grant allows. Raises OAuthError."""
        ...


def check_size(issuer: TokenIssuer, authorization: Authorization) -> None:
    """Refuse tokens that no header could carry. Raises InvalidScope.

    At login this is a page; groups may also grow between a login and a refresh.
    """
    try:
        check_tokens(issuer, authorization)
    except TokenTooLarge as error:
        raise InvalidScope(
            f"A token would have {error.size} bytes with {error.groups} groups, more than"
            " applications accept. Ask an administrator to limit the groups and claims in tokens."
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRules:
    """What must be true of a stored login whenever it is used, by whichever token.

    A rule that is added here is kept by all of them; the table of `tests/spec` wants a row for it.
    """

    clients: Clients
    standings: Standings
    ended_sessions: Container[str]
    audit: AuditLog

    def check(
        self, grant: Grant, client: Client, *, scopes: tuple[str, ...], refusal: InvalidGrant
    ) -> None:
        """Raise `refusal`, or InvalidScope when the client may not have `scopes` any more."""
        if not self.counts(grant, client):
            raise refusal
        check_granted(scopes, client=client, clients=self.clients)

    def counts(self, grant: Grant, client: Client) -> bool:
        """Return whether a login still counts for the client that it was made for.

        Nobody locked the person or signed them out since, the browser's session was not ended, and
        people of the connector may still sign in to the client.
        """
        if grant.session and grant.session in self.ended_sessions:
            self.audit("grant_of_ended_session", grant=grant.name, client=grant.client_id)
            return False
        if not may_sign_in_with(client, grant.connector_id):
            self.audit("grant_of_barred_connector", grant=grant.name, client=grant.client_id)
            return False
        counts = login_counts(
            self.standings,
            user_id=grant.user_id,
            connector_id=grant.connector_id,
            authenticated_at=grant.authenticated_at,
        )
        if not counts:
            self.audit("grant_of_locked_user", grant=grant.name, client=grant.client_id)
        return counts


def retry_after(error: StorageUnavailable) -> timedelta:
    """Return when to try again: not before the store itself wants to be asked."""
    return max(RETRY_AFTER, timedelta(seconds=error.retry_after or 0))


def store_is_away(error: StorageUnavailable) -> TemporarilyUnavailable:
    """Return what a client hears while the store cannot be asked: nothing was spent."""
    return TemporarilyUnavailable(
        "The provider's store does not answer. Nothing was spent: try again.", retry_after(error)
    )


def key_is_away(error: SealUnknown) -> TemporarilyUnavailable:
    """Return what a client hears while a grant is sealed with a key that this process lacks.

    Seconds after a key was replaced that is normal; when it lasts, the log says what to do.
    """
    log_event(_log, logging.ERROR, "record_unreadable", problem=str(error))
    return TemporarilyUnavailable(
        "The provider cannot open this login just now. Nothing was spent: try again.", RETRY_AFTER
    )
