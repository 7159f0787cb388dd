"""What an application may say of itself (RFC 7591 section 2, OIDC Registration section 2).

The logout specifications and OIDC Core add members of their own. Whoever registers is nobody in
particular, so what is only doubtful in an operator's configuration is refused here.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from idp.keys.client_keys import CLIENT_ALGORITHMS, KeySetUnusable, key_set_text
from idp.oauth.authentication import ACR_VALUES_SUPPORTED
from idp.oauth.client import PRIVATE_KEY_JWT
from idp.oauth.errors import (
    InvalidClientMetadata,
    InvalidRedirectUri,
    OAuthError,
    UnapprovedSoftwareStatement,
)
from idp.oauth.response_types import canonical
from idp.oauth.scopes import split_scope
from idp.registration.consistency import check_together
from idp.registration.reader import (
    Check,
    MetadataReader,
    flag,
    line,
    list_of,
    one_of,
    text_by,
    whole_number,
)
from idp.registration.redirect_uris import check_redirect_uris
from idp.settings.client_addresses import (
    check_https_url,
    check_logout_redirect_uri,
    check_page_url,
    check_request_uri,
)
from idp.settings.redirect_rules import check_redirect_uri
from idp.strict_json import parse_object

Members = dict[str, Any]
"""The metadata of a client, by the names of the wire, as it is stored and answered."""

_LONGEST_NAME: Final = 255
_LONGEST_MAX_AGE: Final = 10 * 365 * 86_400
_TOLD: Final = 3
"""Problems in one answer: enough to mend, and no echo of a whole request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationTerms:
    """What this provider has to offer to a client that registers itself."""

    auth_methods: Sequence[str]
    grant_types: Sequence[str]
    response_types: Sequence[str]
    signing_algorithms: Collection[str]


def read_metadata(sent: Mapping[str, Any], terms: RegistrationTerms) -> Members:
    """Return what a client is registered with: what was sent and is understood, and defaults.

    Raises InvalidRedirectUri, InvalidClientMetadata or UnapprovedSoftwareStatement (RFC 7591
    section 3.2.2), with a sentence for each of the first things that are wrong.
    """
    reader = MetadataReader(sent)
    if reader.says("software_statement"):
        raise UnapprovedSoftwareStatement(
            "Software statements are not served: leave software_statement out, and say what it"
            " says in members of their own."
        )
    for name, why in _NOT_SERVED.items():
        if reader.says(name):
            reader.refuse(name, why)
    for name, check in _checks(terms).items():
        reader.read(name, check)
    _fill_in(reader)
    check_redirect_uris(reader)
    check_together(reader)
    if reader.problems:
        raise _error(reader.problems)
    return reader.members


def _fill_in(reader: MetadataReader) -> None:
    """Put in the defaults (RFC 7591 section 2), which the answer tells as well.

    A client that says it only gets tokens for itself needs no response type.
    """
    members = reader.members
    members.setdefault("application_type", "web")
    members.setdefault("token_endpoint_auth_method", "client_secret_basic")
    members.setdefault("grant_types", ["authorization_code"])
    redirected = {"authorization_code", "implicit"} & set(members["grant_types"])
    members.setdefault("response_types", ["code"] if redirected else [])
    members.setdefault("redirect_uris", [])
    members.setdefault("subject_type", "public")


def _error(problems: Mapping[str, str]) -> OAuthError:
    kind = InvalidRedirectUri if "redirect_uris" in problems else InvalidClientMetadata
    first = sorted(problems, key=lambda name: name != "redirect_uris")[:_TOLD]
    return kind(" ".join(problems[name] for name in first))


def _checks(terms: RegistrationTerms) -> Mapping[str, Check]:
    return {
        **_MEMBERS,
        "token_endpoint_auth_method": _auth_method(terms.auth_methods),
        "grant_types": list_of(one_of(terms.grant_types)),
        "response_types": list_of(_response_type(terms.response_types)),
        "id_token_signed_response_alg": one_of(sorted(terms.signing_algorithms)),
        "userinfo_signed_response_alg": one_of((*sorted(terms.signing_algorithms), "none")),
    }


def _auth_method(served: Sequence[str]) -> Check:
    known = one_of(served)

    def check(value: Any) -> str:
        if value == "client_secret_jwt":
            raise ValueError(
                "is not served, because the provider keeps no secret that it could read; use"
                f" {PRIVATE_KEY_JWT if PRIVATE_KEY_JWT in served else 'client_secret_basic'}"
            )
        return known(value)

    return check


def _response_type(served: Sequence[str]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if not isinstance(value, str) or canonical(value) not in served:
            raise ValueError(f"is not served; served are {', '.join(served)}")
        return canonical(value)

    return check


def _key_set(value: Any) -> Members:
    if not isinstance(value, dict):
        raise ValueError("must be an object with the list `keys`")
    try:
        return parse_object(key_set_text(value).encode())
    except KeySetUnusable as error:
        raise ValueError(str(error)) from None


def _scope(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string of scopes with spaces between")
    try:
        return " ".join(split_scope(value))
    except OAuthError:
        raise ValueError("is too long, or holds what no scope may have (RFC 6749, 3.3)") from None


_HTTPS = text_by(check_https_url)
_PAGE = text_by(check_page_url)
_CLIENT_ALG = one_of(CLIENT_ALGORITHMS)

_MEMBERS: Final[Mapping[str, Check]] = {
    "redirect_uris": list_of(text_by(check_redirect_uri)),
    "application_type": one_of(("web", "native")),
    "client_name": line(_LONGEST_NAME),
    "client_uri": _PAGE,
    "logo_uri": _PAGE,
    "tos_uri": _PAGE,
    "policy_uri": _PAGE,
    "contacts": list_of(line(_LONGEST_NAME), most=16),
    "scope": _scope,
    "jwks": _key_set,
    "jwks_uri": _HTTPS,
    "software_id": line(_LONGEST_NAME),
    "software_version": line(_LONGEST_NAME),
    "subject_type": one_of(("public",)),
    "request_object_signing_alg": _CLIENT_ALG,
    "token_endpoint_auth_signing_alg": _CLIENT_ALG,
    "default_max_age": whole_number(_LONGEST_MAX_AGE),
    "require_auth_time": flag,
    "default_acr_values": list_of(one_of(ACR_VALUES_SUPPORTED), most=16),
    "initiate_login_uri": _HTTPS,
    "request_uris": list_of(text_by(check_request_uri)),
    "post_logout_redirect_uris": list_of(text_by(check_logout_redirect_uri)),
    "backchannel_logout_uri": _HTTPS,
    "backchannel_logout_session_required": flag,
    "frontchannel_logout_uri": _PAGE,
    "frontchannel_logout_session_required": flag,
}

_PLAIN: Final = "is not served: nothing is encrypted here but the connection itself; leave it out"

_NOT_SERVED: Final[Mapping[str, str]] = {
    "sector_identifier_uri": (
        "is not served: a person has the same `sub` at every client (subject_type public), so there"
        " are no sectors; leave it out"
    ),
    "id_token_encrypted_response_alg": _PLAIN,
    "id_token_encrypted_response_enc": _PLAIN,
    "userinfo_encrypted_response_alg": _PLAIN,
    "userinfo_encrypted_response_enc": _PLAIN,
    "request_object_encryption_alg": _PLAIN,
    "request_object_encryption_enc": _PLAIN,
}
"""Members that are understood and cannot be had. Ignoring them would be a promise not kept."""
