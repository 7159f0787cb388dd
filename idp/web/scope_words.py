"""What a client gets, in words: one sentence for each scope, claim and audience."""

from collections.abc import Iterable

from idp.oauth.claim_names import STANDARD, scope_of

_SCOPE_WORDS = {
    "openid": "Know that it is you",
    "profile": "See your name, user name and the rest of your profile",
    "email": "See your email address",
    "address": "See your postal address",
    "phone": "See your phone number",
    "groups": "See the groups that you belong to",
    "offline_access": "Keep this access while you are away",
    "federated:id": "See which account you signed in with",
}
_CLAIM_WORDS = {
    "email_verified": "See whether your email address is verified",
    "phone_number_verified": "See whether your phone number is verified",
    "preferred_username": "See your user name",
    "profile": "See the address of your profile page",
    "picture": "See your picture",
    "website": "See the address of your web site",
    "zoneinfo": "See your time zone",
    "locale": "See your language",
    "updated_at": "See when your profile was changed",
    "address": _SCOPE_WORDS["address"],
    "email": _SCOPE_WORDS["email"],
    "federated_claims": _SCOPE_WORDS["federated:id"],
    "groups": _SCOPE_WORDS["groups"],
    "phone_number": _SCOPE_WORDS["phone"],
}


def scope_sentences(
    scopes: Iterable[str], audiences: Iterable[str] = (), claims: Iterable[str] = ()
) -> list[str]:
    """Say in words what a client is asking for, one sentence per scope, claim and audience.

    `claims` are asked for by name; those that a scope brings along are left to it. `audiences` are
    the names of other clients that would accept the token; scopes of the form
    `audience:server:client_id:…` are left to them.
    """
    words = _SCOPE_WORDS
    asked = [scope for scope in dict.fromkeys(scopes) if not scope.startswith("audience:server:")]
    # In the order of `words`, however the client wrote them; those without words come last.
    asked.sort(key=lambda scope: list(words).index(scope) if scope in words else len(words))
    # U+2068 and U+2069 keep a right-to-left name from turning the words around it.
    sentences = [words.get(scope, f"Use the permission \u2068{scope}\u2069") for scope in asked]
    sentences += [_claim_words(each) for each in sorted(claims) if scope_of(each) not in asked]
    sentences += [f"Act for you at \u2068{name}\u2069" for name in dict.fromkeys(audiences)]
    return sentences


def _claim_words(claim: str) -> str:
    """Return what it means to be told a claim; names that we do not know are shown as they are."""
    if claim in _CLAIM_WORDS:
        return _CLAIM_WORDS[claim]
    name = claim.replace("_", " ") if claim in STANDARD else f"\u2068{claim}\u2069"
    return f"See your {name}"
