"""Which claims there are: who may say them, and which scope releases them.

The one table behind tokens, userinfo, discovery, and what people may write down of somebody. Names
are those of OIDC Core section 5.1 and of the registry of RFC 7519; any other is an operator's own.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from idp.oauth.scopes import ADDRESS, EMAIL, FEDERATED_ID, GROUPS, PHONE, PROFILE

OURS: Final = frozenset(
    {
        "iss", "aud", "exp", "nbf", "iat", "jti", "nonce", "azp", "auth_time", "acr", "amr", "sid",
        "at_hash", "c_hash", "s_hash", "scope", "client_id", "grant", "act", "may_act", "cnf",
        "typ", "events", "active", "token_type", "token_use", "authorization_details", "sub_id",
        "sub_jwk", "toe", "txn", "vot", "vtm", "verified_claims", "_claim_names", "_claim_sources",
    }
)  # fmt: skip
"""What the protocol says of a token and of the login behind it. No source of users sets any of it,
and userinfo repeats none of it."""

OF_IDENTITY: Final = frozenset(
    {
        "sub", "name", "preferred_username", "email", "email_verified", "groups",
        "federated_claims", "address",
    }
)  # fmt: skip
"""What the provider makes of an identity's own fields, `address` of its `address.` members."""

STANDARD: Final = (
    "name", "family_name", "given_name", "middle_name", "nickname", "preferred_username",
    "profile", "picture", "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
    "email", "email_verified", "address", "phone_number", "phone_number_verified",
)  # fmt: skip
"""The claims of OIDC Core section 5.1, in its order, without `sub`."""

ADDRESS_MEMBERS: Final = (
    "formatted", "street_address", "locality", "region", "postal_code", "country",
)  # fmt: skip
"""The members of `address` (OIDC Core section 5.1.1)."""

MEMBER_PREFIX: Final = "address."
_SCOPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "email": EMAIL,
        "email_verified": EMAIL,
        "address": ADDRESS,
        "phone_number": PHONE,
        "phone_number_verified": PHONE,
        "groups": GROUPS,
        "federated_claims": FEDERATED_ID,
    }
)
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/~-]{0,127}")


def claim_of(name: str) -> str:
    """Return the claim that a name is of: `address` for each of its members."""
    return "address" if name.startswith(MEMBER_PREFIX) else name


def scope_of(claim: str) -> str:
    """Return the scope that releases a claim (OIDC Core section 5.4); others go with `profile`."""
    return _SCOPES.get(claim, PROFILE)


def may_be_set(name: str) -> bool:
    """Return whether a source of users may say this of a person."""
    try:
        check_name(name)
    except ValueError:
        return False
    return True


def may_be_asked(claim: str) -> bool:
    """Return whether a claim tells of a person, so that a client can ask for it by name."""
    if claim in OF_IDENTITY:
        return claim != "sub"
    return may_be_set(claim) and not claim.startswith(MEMBER_PREFIX)


def is_told(claim: str) -> bool:
    """Return whether userinfo repeats a claim of an access token: it is about the person."""
    return claim not in OURS


def check_name(name: str) -> str:
    """Return the name of a claim that may be said of a person unchanged.

    The one rule for all that people write such names in: connectors, local users and clients.
    Raises ValueError with a text that continues a sentence beginning with the name.
    """
    # Go's JSON decoder takes `Groups` for `groups`, so relying parties written in Go do too.
    folded = name.lower()
    if folded in OURS:
        raise ValueError(
            "is said by the provider itself; it cannot be set for a person: choose another name"
        )
    if folded == "address":
        members = ", ".join(MEMBER_PREFIX + member for member in ADDRESS_MEMBERS)
        raise ValueError(f"is made of its members; set {members}")
    if folded in OF_IDENTITY:
        raise ValueError("has a field of its own; it cannot be set among the other claims")
    if name.startswith(MEMBER_PREFIX) and name.removeprefix(MEMBER_PREFIX) not in ADDRESS_MEMBERS:
        raise ValueError(f"is no member of address, which has {', '.join(ADDRESS_MEMBERS)}")
    if _NAME.fullmatch(name) is None:
        raise ValueError("is no name of a claim: at most 128 letters, digits and any of _.:/~-")
    return name
