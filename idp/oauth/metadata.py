"""The discovery document (OIDC Discovery section 3, RFC 8414 section 2)."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from idp.oauth import prompt
from idp.oauth.authentication import ACR_VALUES_SUPPORTED
from idp.oauth.claims import supported_claims
from idp.oauth.client_auth import CONFIDENTIAL_METHODS, METHODS
from idp.oauth.response_modes import ResponseMode
from idp.oauth.response_types import CODE, IMPLICIT, carries_tokens
from idp.oauth.scopes import ADDRESS, ADVERTISED, OFFLINE_ACCESS, PHONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What this provider serves: the same values that the routes and handlers are made from.

    `claims` are those beyond name, address and groups that some source of users can tell.
    """

    issuer: str
    grant_types: Sequence[str]
    signing_algorithms: Sequence[str]
    has_sessions: bool = False
    response_types: Sequence[str] = (CODE,)
    request_uris: bool = False
    client_algorithms: Sequence[str] = ()
    registration: bool = False
    claims: Collection[str] = ()

    @property
    def all_grant_types(self) -> list[str]:
        """Return the grant types, with `implicit` where tokens come without the token endpoint."""
        implicit = [IMPLICIT] if any(map(carries_tokens, self.response_types)) else []
        return sorted({*self.grant_types, *implicit})


def discovery_document(served: Served) -> bytes:
    """Return the document as bytes, the same on every replica of one configuration."""
    issuer = served.issuer
    document = {
        "issuer": issuer,
        "authorization_endpoint": issuer + "/auth",
        "token_endpoint": issuer + "/token",
        "jwks_uri": issuer + "/keys",
        "userinfo_endpoint": issuer + "/userinfo",
        "revocation_endpoint": issuer + "/token/revoke",
        "introspection_endpoint": issuer + "/token/introspect",
        **({"registration_endpoint": issuer + "/register"} if served.registration else {}),
        "response_types_supported": list(served.response_types),
        "response_modes_supported": [mode.value for mode in ResponseMode],
        "grant_types_supported": served.all_grant_types,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": sorted(served.signing_algorithms),
        "userinfo_signing_alg_values_supported": sorted(served.signing_algorithms),
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": _scopes(served),
        "token_endpoint_auth_methods_supported": list(METHODS),
        "revocation_endpoint_auth_methods_supported": list(METHODS),
        "introspection_endpoint_auth_methods_supported": list(CONFIDENTIAL_METHODS),
        **{
            f"{door}_endpoint_auth_signing_alg_values_supported": list(served.client_algorithms)
            for door in ("token", "revocation", "introspection")
        },
        "claims_supported": _claims(served),
        "claim_types_supported": ["normal"],
        "acr_values_supported": list(ACR_VALUES_SUPPORTED),
        "prompt_values_supported": [
            prompt.CONSENT,
            prompt.LOGIN,
            prompt.NONE,
            prompt.SELECT_ACCOUNT,
        ],
        "display_values_supported": ["page"],
        "claims_parameter_supported": True,
        "request_parameter_supported": True,
        "request_uri_parameter_supported": served.request_uris,
        "require_request_uri_registration": True,
        "request_object_signing_alg_values_supported": list(served.client_algorithms),
        "authorization_response_iss_parameter_supported": True,
    }
    if served.has_sessions:
        document |= _session_members(issuer)
    return json.dumps(document, indent=1).encode()


def _session_members(issuer: str) -> dict[str, object]:
    """Return what RP-Initiated, Back-Channel and Front-Channel Logout add, section 2 of each."""
    return {
        "end_session_endpoint": issuer + "/logout",
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "frontchannel_logout_supported": True,
        "frontchannel_logout_session_supported": True,
    }


def _claims(served: Served) -> list[str]:
    """Return the claims that tokens and userinfo can have here."""
    return [*supported_claims(served.claims), *(["sid"] if served.has_sessions else [])]


def _scopes(served: Served) -> list[str]:
    """Return the scopes that can come to something here."""
    scopes = list(ADVERTISED)
    if "refresh_token" not in served.grant_types:
        scopes.remove(OFFLINE_ACCESS)
    if "address" in served.claims:
        scopes.append(ADDRESS)
    if "phone_number" in served.claims:
        scopes.append(PHONE)
    return scopes
