"""The port of a grant."""

from datetime import timedelta
from typing import Final, Protocol

from idp.oauth.client import Client
from idp.oauth.errors import InvalidScope, TemporarilyUnavailable
from idp.oauth.params import Parameters
from idp.tokens.authorization import Authorization
from idp.tokens.issue import TokenIssuer, TokenSet
from idp.tokens.size import TokenTooLarge, check_id_token
from storage.base import StorageUnavailable

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
    """Refuse an ID token that no header could carry. Raises InvalidScope.

    At login this is a page; groups may also grow between a login and a refresh.
    """
    try:
        check_id_token(issuer, authorization)
    except TokenTooLarge as error:
        raise InvalidScope(
            f"The ID token would have {error.size} bytes with {error.groups} groups, more than"
            " applications accept. Ask an administrator to limit the groups."
        ) from None


def store_is_away(_: StorageUnavailable) -> TemporarilyUnavailable:
    """Return what a client hears while the store cannot be asked: nothing was spent."""
    return TemporarilyUnavailable(
        "The provider's store does not answer. Nothing was spent: try again.", RETRY_AFTER
    )
