"""What tokens are issued for: one checked fact, whichever grant it came from."""

from dataclasses import dataclass, replace
from datetime import datetime

from connectors.base import Identity
from idp.oauth.authentication import UNKNOWN, AuthenticationMethod
from idp.oauth.claims import Person
from idp.oauth.client import Client
from idp.oauth.scopes import GROUPS, peers_of
from idp.oauth.subject import subject
from storage.records import Grant


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """Somebody (or a client itself) may have tokens of these scopes.

    `grant_name` is "" when nothing is stored behind it, and `authenticated_at` None when nobody
    signed in, both for a client on its own behalf. `session` is the `sid`, "" without one.
    """

    client_id: str
    person: Person
    scopes: tuple[str, ...]
    peers: tuple[str, ...]
    nonce: str
    authenticated_at: datetime | None
    grant_name: str
    method: AuthenticationMethod = UNKNOWN
    session: str = ""


def person_of(identity: Identity, connector_id: str) -> Person:
    """Return the subject that a connector's identity becomes."""
    return Person(
        subject=subject(identity.user_id, connector_id),
        connector_id=connector_id,
        user_id=identity.user_id,
        username=identity.username,
        preferred_username=identity.preferred_username,
        email=identity.email,
        email_verified=identity.email_verified,
        groups=identity.groups,
    )


def identity_of(grant: Grant) -> Identity:
    """Return the identity that a grant remembers."""
    return Identity(
        user_id=grant.user_id,
        username=grant.username,
        preferred_username=grant.preferred_username,
        email=grant.email,
        email_verified=grant.email_verified,
        groups=grant.groups,
        connector_data=grant.connector_data,
    )


def needed_of(identity: Identity, scopes: tuple[str, ...]) -> Identity:
    """Return an identity without groups that no granted scope will ever show.

    People may have thousands, which would travel in forms and lie in records for nothing.
    """
    return identity if GROUPS in scopes else replace(identity, groups=())


def authorization_of(grant: Grant, scopes: tuple[str, ...]) -> Authorization:
    """Return what may be issued for a grant, with all or fewer of its scopes."""
    return Authorization(
        client_id=grant.client_id,
        person=person_of(identity_of(grant), grant.connector_id),
        scopes=scopes,
        peers=peers_of(scopes),
        nonce=grant.nonce,
        authenticated_at=grant.authenticated_at,
        grant_name=grant.name,
        method=AuthenticationMethod(acr=grant.acr, amr=grant.amr),
        session=grant.session,
    )


def client_itself(client: Client, scopes: tuple[str, ...]) -> Authorization:
    """Return what may be issued to a client on its own behalf, with the subject that Dex uses."""
    return Authorization(
        client_id=client.id,
        person=Person(
            subject=subject(client.id, ""),
            connector_id="",
            user_id=client.id,
            username=client.name,
            preferred_username=client.name,
            email="",
            email_verified=False,
            groups=client.credentials_groups,
        ),
        scopes=scopes,
        peers=peers_of(scopes),
        nonce="",
        authenticated_at=None,
        grant_name="",
    )
