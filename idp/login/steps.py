"""What comes next in a login: choose a connector, type a password, approve, or be done."""

from collections.abc import Sequence
from dataclasses import dataclass

from idp.oauth import prompt
from idp.oauth.authorize import AuthorizationRequest, Refused
from idp.oauth.errors import LoginRequired, Untrusted


@dataclass(frozen=True, slots=True)
class Choose:
    """Let the person choose one of several connectors."""


@dataclass(frozen=True, slots=True)
class SignInWith:
    """Go on with this connector."""

    connector_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPolicy:
    """What the operator decided about the steps."""

    connector_ids: Sequence[str]
    skip_approval: bool
    always_choose: bool


def next_step(request: AuthorizationRequest, policy: StepPolicy) -> Choose | SignInWith:
    """Return the first step of a checked request.

    Raises Refused where `prompt=none` forbids every step (OIDC Core section 3.1.2.1), Untrusted
    for a connector that does not exist.
    """
    if prompt.NONE in request.prompts:
        raise Refused(request.target, LoginRequired("Nobody is signed in here."))
    if request.connector_id:
        return SignInWith(known_connector(request.connector_id, policy))
    choose = policy.always_choose or prompt.SELECT_ACCOUNT in request.prompts
    if len(policy.connector_ids) == 1 and not choose:
        return SignInWith(policy.connector_ids[0])
    return Choose()


def known_connector(connector_id: str, policy: StepPolicy) -> str:
    """Return the id of a configured connector. Raises Untrusted."""
    if connector_id not in policy.connector_ids:
        raise Untrusted(
            "The application asked for a way to sign in that does not exist here.",
            "The connector_id in the address is not one of this provider's connectors.",
        )
    return connector_id


def needs_approval(request: AuthorizationRequest, policy: StepPolicy) -> bool:
    """Return whether the person must approve after signing in."""
    return prompt.CONSENT in request.prompts or not policy.skip_approval
