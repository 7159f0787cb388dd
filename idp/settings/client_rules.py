"""Rules about several fields of one client, the same in the file and in an `OIDCClient`.

They read plain values, so that a mistake in one field does not hide another.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from idp.durations import parse_duration
from idp.keys.jwks import ALGORITHMS
from idp.oauth.client import PRIVATE_KEY_JWT
from idp.settings.client_addresses import same_origin
from idp.settings.draft import Finding, value_at
from idp.settings.problems import KeyPath

_SECRET_METHODS = frozenset({"client_secret_basic", "client_secret_post"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTerms:
    """What the provider has to offer to any client: algorithms, and the longest life of a token."""

    algorithms: Collection[str]
    longest_tokens: timedelta


def client_findings(
    said: Mapping[str, Any], place: KeyPath, terms: ClientTerms
) -> Iterator[Finding]:
    """Yield what in a client's fields does not go together, or cannot be had here.

    `place` is where the client stands.
    """
    for key, message in (*_authentication(said), *_grants(said), *_logout(said)):
        yield Finding((*place, key), message)
    for path, message in _beyond(said, terms):
        yield Finding((*place, *path), message)


def proves_by_key(said: Mapping[str, Any]) -> bool:
    """Return whether the client signs instead of sending a secret."""
    return said.get("tokenEndpointAuthMethod") == PRIVATE_KEY_JWT


def _is_public(said: Mapping[str, Any]) -> bool:
    return said.get("public") in (True, "true")


def _authentication(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    method = said.get("tokenEndpointAuthMethod")
    if "jwks" in said and "jwksURI" in said:
        yield "jwksURI", "is given beside `jwks`; remove one of the two"
    if proves_by_key(said):
        if "jwks" not in said and "jwksURI" not in said:
            yield (
                "tokenEndpointAuthMethod",
                f"`{PRIVATE_KEY_JWT}` needs `jwks` or `jwksURI`: the public keys that the"
                " application signs with",
            )
        if _is_public(said):
            yield "public", f"a client with `{PRIVATE_KEY_JWT}` is not public; remove one of them"
        for key in ("secret", "previousSecret", "secretRef"):
            if key in said:
                yield key, f"is not used with `{PRIVATE_KEY_JWT}`; remove one of the two"
    if method == "none" and not _is_public(said):
        yield "tokenEndpointAuthMethod", "`none` is for clients with `public: true` only"
    if method in _SECRET_METHODS and _is_public(said):
        yield "tokenEndpointAuthMethod", f"`{method}` needs a secret, which a public client has not"


def _grants(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    grants = said.get("grantTypes")
    if not isinstance(grants, tuple | list) or not grants:
        return
    if "client_credentials" in grants and _is_public(said):
        yield "grantTypes", "`client_credentials` is for clients that can prove who they are"
    if said.get("offlineAccess") == "always" and "refresh_token" not in grants:
        yield "offlineAccess", "`always` needs `refresh_token` among `grantTypes`"


def _beyond(said: Mapping[str, Any], terms: ClientTerms) -> Iterator[tuple[KeyPath, str]]:
    for key in ("idTokenSignedResponseAlg", "userinfoSignedResponseAlg"):
        alg = said.get(key)
        if alg in ALGORITHMS and alg not in terms.algorithms:
            yield (
                (key,),
                f"`{alg}` is not signed with by this provider; add it to"
                " `signer.config.additionalAlgorithms` of its configuration",
            )
    for key in ("idTokens", "accessTokens"):
        if _is_longer(value_at(said, "expiry", key), terms.longest_tokens):
            yield (
                ("expiry", key),
                "is longer than any token of this provider may live; raise `expiry.longestTokens`"
                " of its configuration",
            )


def _is_longer(lifetime: Any, longest: timedelta) -> bool:
    try:
        return parse_duration(str(lifetime)) > longest
    except ValueError:
        return False


def _logout(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    address, uris = said.get("frontchannelLogoutURI"), said.get("redirectURIs", ())
    if not isinstance(address, str) or not isinstance(uris, tuple | list):
        return
    if not any(isinstance(uri, str) and same_origin(address, uri) for uri in uris):
        yield (
            "frontchannelLogoutURI",
            "must have scheme, host and port of one of the `redirectURIs` (OpenID Connect"
            " Front-Channel Logout 1.0 section 2)",
        )
