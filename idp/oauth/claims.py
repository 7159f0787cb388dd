"""What a token says of a person, by the scopes that were granted.

The types are what Kubernetes and its neighbours insist on: `groups` an array of strings, present
whenever its scope was granted; `email_verified` a boolean (never the text "true").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from idp.oauth.scopes import EMAIL, FEDERATED_ID, GROUPS, PROFILE

Claims = dict[str, object]
"""The members of a JWT or of a userinfo answer."""

USERINFO_CLAIMS = (
    "sub",
    "email",
    "email_verified",
    "name",
    "preferred_username",
    "groups",
    "federated_claims",
)
"""What userinfo may answer with, out of an access token's own claims."""

SUPPORTED = (
    "iss", "sub", "aud", "azp", "exp", "iat", "jti", "auth_time", "nonce", "at_hash", "acr", "amr",
    "email", "email_verified", "name", "preferred_username", "groups", "federated_claims",
)  # fmt: skip
"""`claims_supported` of discovery."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """The subject of a token: a person, or a client on its own behalf."""

    subject: str
    connector_id: str
    user_id: str
    username: str
    preferred_username: str
    email: str
    email_verified: bool
    groups: Sequence[str]


def person_claims(person: Person, scopes: Sequence[str]) -> Claims:
    """Return `sub` and what the scopes grant (OIDC Core section 5.4, and Dex's own scopes)."""
    claims: Claims = {"sub": person.subject}
    if EMAIL in scopes and person.email:
        claims["email"] = person.email
        claims["email_verified"] = person.email_verified
    if PROFILE in scopes:
        if person.username:
            claims["name"] = person.username
        if person.preferred_username:
            claims["preferred_username"] = person.preferred_username
    if GROUPS in scopes:
        claims["groups"] = list(person.groups)
    if FEDERATED_ID in scopes:
        claims["federated_claims"] = {
            "connector_id": person.connector_id,
            "user_id": person.user_id,
        }
    return claims


def userinfo_claims(token: Mapping[str, object]) -> Claims:
    """Return the userinfo answer out of an access token's claims (OIDC Core section 5.3.2)."""
    return {name: token[name] for name in USERINFO_CLAIMS if name in token}
