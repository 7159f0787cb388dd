"""What a token says of a person, by the scopes that were granted and the claims asked for by name.

The types are what Kubernetes and its neighbours insist on: `groups` an array of strings, present
whenever its scope was granted; `email_verified` a boolean (never the text "true").
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from idp.oauth.claim_names import STANDARD, is_told, scope_of
from idp.oauth.claim_values import Value, on_the_wire

Claims = dict[str, object]
"""The members of a JWT or of a userinfo answer."""

_ALWAYS = (
    "iss", "sub", "aud", "azp", "exp", "iat", "jti", "auth_time", "nonce", "at_hash", "acr", "amr",
    "email", "email_verified", "name", "preferred_username", "groups", "federated_claims",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """The subject of a token: a person, or a client on its own behalf.

    `claims` is what else a source of users says, by the names of claims, as `Identity` has it.
    """

    subject: str
    connector_id: str
    user_id: str
    username: str
    preferred_username: str
    email: str
    email_verified: bool
    groups: Sequence[str]
    claims: Sequence[tuple[str, tuple[str, ...]]] = ()


def person_claims(person: Person, scopes: Sequence[str], asked: Collection[str] = ()) -> Claims:
    """Return `sub` and what the scopes grant (OIDC Core section 5.4, and Dex's own scopes).

    `asked` are claims that were asked for by name, whatever the scopes (section 5.5).
    """
    claims: Claims = {"sub": person.subject}
    for claim, value in _known(person):
        if scope_of(claim) in scopes or claim in asked:
            claims[claim] = value
    return claims


def _known(person: Person) -> Iterator[tuple[str, Value]]:
    """Yield everything that there is to say of a person, but `sub`."""
    if person.email:
        yield "email", person.email
        yield "email_verified", person.email_verified
    if person.username:
        yield "name", person.username
    if person.preferred_username:
        yield "preferred_username", person.preferred_username
    yield "groups", list(person.groups)
    yield (
        "federated_claims",
        {"connector_id": person.connector_id, "user_id": person.user_id},
    )
    yield from on_the_wire(person.claims).items()


def userinfo_claims(token: Mapping[str, object]) -> Claims:
    """Return the userinfo answer out of an access token's claims (OIDC Core section 5.3.2)."""
    return {claim: value for claim, value in token.items() if is_told(claim)}


def supported_claims(offered: Collection[str]) -> list[str]:
    """Return `claims_supported` of discovery, for the claims that some source of users can tell."""
    further = sorted(set(offered).difference(_ALWAYS, STANDARD))
    standard = [claim for claim in STANDARD if claim in offered and claim not in _ALWAYS]
    return [*_ALWAYS, *standard, *further]
