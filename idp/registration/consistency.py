"""What in a client's metadata does not go together (RFC 7591 section 2.1, OIDC Registration 2)."""

from collections.abc import Iterator

from idp.oauth.client import PRIVATE_KEY_JWT
from idp.oauth.response_types import CODE, IMPLICIT, carries_tokens, has
from idp.registration.reader import MetadataReader
from idp.settings.client_addresses import same_origin


def check_together(reader: MetadataReader) -> None:
    """Note members that contradict each other."""
    for name, problem in (*_grants(reader), *_keys(reader), *_logout(reader)):
        reader.refuse(name, problem)


def _grants(reader: MetadataReader) -> Iterator[tuple[str, str]]:
    grants, types = reader.get("grant_types"), reader.get("response_types")
    if any(has(each, CODE) for each in types) and "authorization_code" not in grants:
        yield "grant_types", "must have authorization_code for a response type with code"
    if any(map(carries_tokens, types)) and IMPLICIT not in grants:
        yield "grant_types", "must have implicit for a response type with id_token or token"
    if "authorization_code" in grants and not any(has(each, CODE) for each in types):
        yield "response_types", "must have one with code for the grant type authorization_code"
    if IMPLICIT in grants and not any(map(carries_tokens, types)):
        yield "response_types", "must have one with id_token for the grant type implicit"
    if "refresh_token" in grants and "authorization_code" not in grants:
        yield "grant_types", "must have authorization_code for refresh_token to come from"
    public = reader.get("token_endpoint_auth_method") == "none"
    if "client_credentials" in grants and public:
        yield "grant_types", "has client_credentials, which needs a client that authenticates"


def _keys(reader: MetadataReader) -> Iterator[tuple[str, str]]:
    has_keys = reader.says("jwks") or reader.says("jwks_uri")
    if reader.says("jwks") and reader.says("jwks_uri"):
        yield "jwks_uri", "is given beside jwks; leave one of the two out"
    if reader.get("token_endpoint_auth_method") == PRIVATE_KEY_JWT and not has_keys:
        yield "token_endpoint_auth_method", f"{PRIVATE_KEY_JWT} needs jwks or jwks_uri"
    if reader.says("request_object_signing_alg") and not has_keys:
        yield "request_object_signing_alg", "needs jwks or jwks_uri"


def _logout(reader: MetadataReader) -> Iterator[tuple[str, str]]:
    address = reader.get("frontchannel_logout_uri")
    uris = reader.get("redirect_uris", ())
    if address is not None and not any(same_origin(address, uri) for uri in uris):
        yield (
            "frontchannel_logout_uri",
            "must have scheme, host and port of one of the redirect_uris (Front-Channel Logout, 2)",
        )
    for channel in ("backchannel", "frontchannel"):
        name = f"{channel}_logout_session_required"
        if reader.get(name) and not reader.says(f"{channel}_logout_uri"):
            yield name, f"means nothing without {channel}_logout_uri"
