"""What tokens are issued for: one checked fact, whichever grant it came from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from connectors.base import Identity
from idp.oauth.asked_claims import AskedClaims
from idp.oauth.authentication import UNKNOWN, AuthenticationMethod
from idp.oauth.claim_names import STANDARD, claim_of, may_be_set, scope_of
from idp.oauth.claims import Person
from idp.oauth.client import Client, IdTokenClaims
from idp.oauth.groups import Audience, admitted, told
from idp.oauth.scopes import OPENID, may_have, peers_of
from idp.oauth.subject import subject
from storage.records import Grant


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """Somebody (or a client itself) may have tokens of these scopes.

    `grant_name` is "" when nothing is stored behind it, and `authenticated_at` None when nobody
    signed in, both for a client on its own behalf. `session` is the `sid`, "" without one. Of the
    person the ID token tells what the scopes grant unless `id_token_claims` is minimal, and
    userinfo does in any case; each also tells what was asked for it by name.
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
    id_token_claims: IdTokenClaims = "all"  # noqa: S105 - which claims, and no token
    asked_for_id_token: tuple[str, ...] = ()
    asked_for_userinfo: tuple[str, ...] = ()


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
        claims=identity.claims,
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
        claims=grant.claims,
    )


def asked_of(
    claims: AskedClaims, identity: Identity, scopes: Sequence[str], client: Client
) -> AskedClaims:
    """Return what a client gets by name: claims that everybody knows, and what the person has.

    Any other name could say anything to the person who is asked to approve it.
    """
    own = (claim_of(name) for name, _ in identity.claims)
    known = {*STANDARD, "groups", "federated_claims", *own}
    return _allowed(claims.limited_to(known.__contains__), scopes, client)


def _allowed(asked: AskedClaims, scopes: Sequence[str], client: Client) -> AskedClaims:
    """Return what of it the client may have: nothing of a scope that it may not ask for.

    Without `openid` nothing is asked by name (OIDC Core section 5.5).
    """
    with_openid = OPENID in scopes
    return asked.limited_to(lambda claim: with_openid and may_have(client, scope_of(claim)))


def needed_of(
    identity: Identity, scopes: Sequence[str], asked: AskedClaims, client: Client
) -> Identity:
    """Return an identity without groups and claims that nothing granted will ever show.

    People may have thousands, which would travel in forms and lie in records for nothing. The
    filters of audiences count when a token is made, which may be without them.
    """
    names = asked.names

    def is_needed(claim: str) -> bool:
        return scope_of(claim) in scopes or claim in names

    return replace(
        identity,
        groups=admitted(identity.groups, client.claims) if is_needed("groups") else (),
        claims=tuple(
            (name, values)
            for name, values in identity.claims
            if may_be_set(name) and is_needed(claim_of(name))
        ),
    )


def asked_in(grant: Grant) -> AskedClaims:
    """Return what the client of a grant asked for by name."""
    return AskedClaims(id_token=grant.asked_for_id_token, userinfo=grant.asked_for_userinfo)


def authorization_of(grant: Grant, scopes: tuple[str, ...], audience: Audience) -> Authorization:
    """Return what may be issued for a grant, with all or fewer of its scopes, to an audience.

    What the client may be told is judged anew each time. A refresh that leaves out `openid` leaves
    out what was asked for by name, too.
    """
    identity = identity_of(grant)
    asked = _allowed(asked_in(grant), scopes, audience.client)
    return Authorization(
        client_id=grant.client_id,
        person=person_of(
            replace(identity, groups=told(identity.groups, audience)), grant.connector_id
        ),
        scopes=scopes,
        peers=peers_of(scopes),
        nonce=grant.nonce,
        authenticated_at=grant.authenticated_at,
        grant_name=grant.name,
        method=AuthenticationMethod(acr=grant.acr, amr=grant.amr),
        session=grant.session,
        id_token_claims=audience.client.claims.id_token_claims,
        asked_for_id_token=asked.id_token,
        asked_for_userinfo=asked.userinfo,
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
