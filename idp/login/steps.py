"""What comes next in a login: choose a connector, type a password, approve, or be done."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from idp.login.connectors import ConnectorGone
from idp.oauth import prompt
from idp.oauth.authorize import AuthorizationRequest, Refused
from idp.oauth.client import Client
from idp.oauth.errors import AccessDenied, LoginRequired, Untrusted
from idp.oauth.policies import check_connector, may_sign_in_with


@dataclass(frozen=True, slots=True)
class Choose:
    """Let the person choose one of several connectors."""


@dataclass(frozen=True, slots=True)
class SignInWith:
    """Go on with this connector."""

    connector_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPolicy:
    """What the operator decided about the steps. `connector_ids` are those of this moment."""

    connector_ids: Collection[str]
    skip_approval: bool
    always_choose: bool


def next_step(
    request: AuthorizationRequest, policy: StepPolicy, client: Client
) -> Choose | SignInWith:
    """Return the first step of a checked request of a client.

    Raises Refused where `prompt=none` forbids every step (OIDC Core section 3.1.2.1), and for a
    connector that the client may not use; Untrusted for a connector that does not exist.
    """
    if prompt.NONE in request.prompts:
        raise Refused(request.target, LoginRequired("Nobody is signed in here."))
    if request.connector_id:
        known_connector(request.connector_id, policy)
        _check_allowed(request, client, request.connector_id)
        return SignInWith(request.connector_id)
    usable = usable_connectors(policy.connector_ids, client)
    if policy.connector_ids and not usable:
        raise Refused(request.target, AccessDenied("Nobody can sign in to this client here."))
    choose = policy.always_choose or prompt.SELECT_ACCOUNT in request.prompts
    if len(usable) == 1 and not choose:
        return SignInWith(usable[0])
    return Choose()


def usable_connectors(connector_ids: Iterable[str], client: Client) -> tuple[str, ...]:
    """Return the connectors through which people may sign in to a client."""
    return tuple(each for each in connector_ids if may_sign_in_with(client, each))


def _check_allowed(request: AuthorizationRequest, client: Client, connector_id: str) -> None:
    try:
        check_connector(client, connector_id)
    except AccessDenied as error:
        raise Refused(request.target, error) from None


def known_connector(connector_id: str, policy: StepPolicy) -> str:
    """Return the id of a configured connector. Raises Untrusted."""
    if connector_id not in policy.connector_ids:
        raise Untrusted(
            "The application asked for a way to sign in that does not exist here.",
            "The connector_id in the address is not one of this provider's connectors.",
        )
    return connector_id


def check_still_offered(connector_id: str, policy: StepPolicy) -> None:
    """Raise ConnectorGone if somebody signed in with a connector that was withdrawn since."""
    if connector_id not in policy.connector_ids:
        raise ConnectorGone


def needs_approval(request: AuthorizationRequest, policy: StepPolicy, client: Client) -> bool:
    """Return whether the person must approve after signing in."""
    skips = (policy.skip_approval or client.skip_approval) and not client.registered_itself
    return prompt.CONSENT in request.prompts or not skips
