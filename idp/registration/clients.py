"""From the record of a client that registered itself to the client that requests meet."""

import json
from typing import Any

from idp.oauth.client import (
    Allowed,
    ClaimRules,
    Client,
    ClientKeys,
    ClientLinks,
    LogoutRules,
    RequestObjectRules,
    TokenRules,
)
from idp.registration.metadata import Members
from storage.records import RegisteredClient


def needs_secret(members: Members) -> bool:
    """Return whether a client of this metadata proves who it is by a secret."""
    return str(members["token_endpoint_auth_method"]).startswith("client_secret_")


def members_of(record: RegisteredClient) -> Members:
    """Return what a client is registered with."""
    found: Members = json.loads(record.metadata)
    return found


def client_of(record: RegisteredClient) -> Client:
    """Return the client. What it does not say is the provider's own default.

    It has no peers that trust it unless they say so themselves, asks for approval always, and gets
    ID tokens without the claims of scopes, which userinfo has (OIDC Core section 5.4).
    Raises KeyError and TypeError for metadata of another shape than this version writes.
    """
    said = members_of(record)
    return Client(
        id=record.name,
        name=said.get("client_name", record.name),
        secret_hashes=(record.secret_hash,) if record.secret_hash else (),
        auth_method=said["token_endpoint_auth_method"],
        keys=_keys(said),
        redirect_uris=tuple(said["redirect_uris"]),
        allowed=Allowed(
            grant_types=frozenset(said["grant_types"]),
            response_types=frozenset(said["response_types"]),
            scopes=frozenset(said.get("scope", "").split()),
        ),
        default_max_age=said.get("default_max_age"),
        claims=ClaimRules(id_token_claims="minimal"),  # noqa: S106 - which claims, and no token
        tokens=_tokens(said),
        logout=_logout(said),
        request_objects=RequestObjectRules(
            request_uris=tuple(said.get("request_uris", ())),
            signing_alg=said.get("request_object_signing_alg", ""),
        ),
        links=ClientLinks(
            logo_uri=said.get("logo_uri", ""),
            tos_uri=said.get("tos_uri", ""),
            policy_uri=said.get("policy_uri", ""),
            initiate_login_uri=said.get("initiate_login_uri", ""),
        ),
        registered_itself=True,
    )


def _tokens(said: Members) -> TokenRules:
    userinfo_alg = said.get("userinfo_signed_response_alg", "")
    return TokenRules(
        id_token_alg=said.get("id_token_signed_response_alg", ""),
        # "none" was always taken for what it is without the member: plain JSON.
        userinfo_alg="" if userinfo_alg == "none" else userinfo_alg,
    )


def _keys(said: Members) -> ClientKeys:
    jwks: Any = said.get("jwks")
    text = "" if jwks is None else json.dumps(jwks, separators=(",", ":"), sort_keys=True)
    return ClientKeys(
        jwks=text,
        jwks_uri=said.get("jwks_uri", ""),
        auth_alg=said.get("token_endpoint_auth_signing_alg", ""),
    )


def _logout(said: Members) -> LogoutRules:
    return LogoutRules(
        redirect_uris=tuple(said.get("post_logout_redirect_uris", ())),
        backchannel_uri=said.get("backchannel_logout_uri", ""),
        backchannel_session_required=said.get("backchannel_logout_session_required", False),
        frontchannel_uri=said.get("frontchannel_logout_uri", ""),
        frontchannel_session_required=said.get("frontchannel_logout_session_required", False),
    )
