"""What an operator can say of one client, in the file and in an `OIDCClient` alike.

One model for both, so that a field means the same, and is refused with the same sentence, wherever
it is written. What nobody says is the provider's own default.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator

from idp.keys.client_keys import CLIENT_ALGORITHMS, KeySetUnusable, key_set_text
from idp.oauth.client import (
    PRIVATE_KEY_JWT,
    Allowed,
    AuthMethod,
    ClaimRules,
    Client,
    ClientKeys,
    ClientLinks,
    IdTokenClaims,
    LogoutRules,
    OfflineAccess,
    RequestObjectRules,
    TokenRules,
)
from idp.oauth.groups import check_group_pattern
from idp.settings.client_addresses import (
    check_https_url,
    check_logout_redirect_uri,
    check_page_url,
    check_request_uri,
)
from idp.settings.client_rules import ClientTerms, client_findings
from idp.settings.draft import Draft
from idp.settings.fields import Flag, Text, duration_between, no_end_or_between, whole_seconds
from idp.settings.problems import KeyPath
from idp.settings.protocol import GRANT_TYPES, SigningAlgorithm
from idp.settings.section import Section
from idp.settings.validation import validated

RefreshEnd = Literal["standalone", "session"]
"""Whether a refresh token outlives the browser's session, as in Dex."""

_WITH_SESSION: RefreshEnd = "session"
_TokenLifetime = Annotated[timedelta, duration_between("1s", "168h"), AfterValidator(whole_seconds)]
_RefreshLifetime = Annotated[timedelta, no_end_or_between("1s", "87600h")]
_HttpsUrl = Annotated[Text, AfterValidator(check_https_url)]
_PageUrl = Annotated[Text, AfterValidator(check_page_url)]


def _client_algorithm(text: str) -> str:
    if text not in CLIENT_ALGORITHMS:
        raise ValueError(f"is not served; served are {', '.join(CLIENT_ALGORITHMS)}")
    return text


def _auth_method(value: Any) -> Any:
    if value == "client_secret_jwt":
        raise ValueError(
            "is not served: the provider would have to keep the secret readable; use"
            f" {PRIVATE_KEY_JWT}"
        )
    return value


def _key_set(value: Any) -> Any:
    try:
        return key_set_text(_listed(value))
    except KeySetUnusable as error:
        raise ValueError(str(error)) from None


def _listed(value: Any) -> Any:
    """Return values in which lists are lists: a draft has tuples."""
    if isinstance(value, Mapping):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, tuple | list) else value


def policies_in(
    fields: Mapping[str, Any], place: KeyPath, terms: ClientTerms
) -> tuple["ClientPolicies | None", tuple[str, ...]]:
    """Return what an object's fields say, or sentences about what is wrong with them.

    Other fields are not looked at; null is the same as absent.
    """
    known = {str(field.alias) for field in ClientPolicies.model_fields.values()}
    said = {key: _drafted(value) for key, value in fields.items() if value is not None}
    draft = Draft()
    for finding in client_findings(said, place, terms):
        draft.refuse(finding.path, finding.message)
    policies = validated(
        draft, ClientPolicies, {key: said[key] for key in said.keys() & known}, place
    )
    problems = tuple(f"{problem.path} {problem.message}." for problem in draft.problems())
    return (None if problems else policies), problems


def _drafted(value: Any) -> Any:
    """Return JSON as a draft holds it: lists as tuples, no nulls."""
    if isinstance(value, Mapping):
        return {key: _drafted(item) for key, item in value.items() if item is not None}
    return tuple(map(_drafted, value)) if isinstance(value, list | tuple) else value


class ClientRefreshTokens(Section):
    """How long refresh tokens of one client live; NO_END where it said so."""

    valid_if_not_used_for: _RefreshLifetime | None = None
    absolute_lifetime: _RefreshLifetime | None = None


class ClientExpiry(Section):
    """Lifetimes of one client's tokens."""

    id_tokens: _TokenLifetime | None = None
    access_tokens: _TokenLifetime | None = None
    refresh_tokens: ClientRefreshTokens = ClientRefreshTokens()


class ClientPolicies(Section):
    """What one client may do and how it is treated. An empty list restricts nothing, as in Dex."""

    unserved: ClassVar[frozenset[str]] = frozenset({"mfaChain"})

    disabled: Flag = False
    allowed_connectors: tuple[Text, ...] = ()
    grant_types: tuple[Annotated[Text, GRANT_TYPES], ...] = ()
    allowed_scopes: tuple[Text, ...] = ()
    allowed_audiences: tuple[Text, ...] = ()
    expiry: ClientExpiry = ClientExpiry()
    refresh_token_lifetime: RefreshEnd = "standalone"  # noqa: S105 - a word of Dex
    id_token_signed_response_alg: SigningAlgorithm | None = None
    userinfo_signed_response_alg: SigningAlgorithm | None = None
    id_token_claims: IdTokenClaims = "all"  # noqa: S105 - which claims, and no token
    groups_filter: tuple[Annotated[Text, AfterValidator(check_group_pattern)], ...] = ()
    groups_prefix: Text = ""
    offline_access: OfflineAccess = "requested"
    pkce: Literal["required", "optional"] | None = None
    skip_approval_screen: Flag = False
    sso_shared_with: tuple[Text, ...] | None = None
    token_endpoint_auth_method: Annotated[AuthMethod, BeforeValidator(_auth_method)] = ""
    jwks: Annotated[str, BeforeValidator(_key_set)] = ""
    jwks_uri: _HttpsUrl | None = None
    post_logout_redirect_uris: tuple[
        Annotated[Text, AfterValidator(check_logout_redirect_uri)], ...
    ] = ()
    backchannel_logout_uri: _HttpsUrl | None = None
    backchannel_logout_session_required: Flag = False
    frontchannel_logout_uri: _PageUrl | None = None
    frontchannel_logout_session_required: Flag = False
    request_uris: tuple[Annotated[Text, AfterValidator(check_request_uri)], ...] = ()
    request_object_signing_alg: Annotated[Text, AfterValidator(_client_algorithm)] | None = None
    logo_url: _PageUrl | None = None
    tos_uri: _PageUrl | None = None
    policy_uri: _PageUrl | None = None
    initiate_login_uri: _HttpsUrl | None = None

    def said_of(self, client: Client) -> Client:
        """Return a client with all of this said of it."""
        return replace(
            client,
            disabled=self.disabled,
            auth_method=self.token_endpoint_auth_method,
            keys=ClientKeys(jwks=self.jwks, jwks_uri=self.jwks_uri or ""),
            allowed=Allowed(
                connectors=frozenset(self.allowed_connectors),
                grant_types=frozenset(self.grant_types),
                scopes=frozenset(self.allowed_scopes),
                audiences=frozenset(self.allowed_audiences),
            ),
            claims=ClaimRules(
                id_token_claims=self.id_token_claims,
                groups_filter=self.groups_filter,
                groups_prefix=self.groups_prefix,
            ),
            tokens=self._token_rules(),
            pkce_required=None if self.pkce is None else self.pkce == "required",
            skip_approval=self.skip_approval_screen,
            sso_shared_with=_set_if_any(self.sso_shared_with),
            logout=LogoutRules(
                redirect_uris=self.post_logout_redirect_uris,
                backchannel_uri=self.backchannel_logout_uri or "",
                backchannel_session_required=self.backchannel_logout_session_required,
                frontchannel_uri=self.frontchannel_logout_uri or "",
                frontchannel_session_required=self.frontchannel_logout_session_required,
            ),
            request_objects=RequestObjectRules(
                request_uris=self.request_uris, signing_alg=self.request_object_signing_alg or ""
            ),
            links=ClientLinks(
                logo_uri=self.logo_url or "",
                tos_uri=self.tos_uri or "",
                policy_uri=self.policy_uri or "",
                initiate_login_uri=self.initiate_login_uri or "",
            ),
        )

    def _token_rules(self) -> TokenRules:
        refresh = self.expiry.refresh_tokens
        return TokenRules(
            id_token_lifetime=self.expiry.id_tokens,
            access_token_lifetime=self.expiry.access_tokens,
            refresh_idle=refresh.valid_if_not_used_for,
            refresh_absolute=refresh.absolute_lifetime,
            id_token_alg=self.id_token_signed_response_alg or "",
            userinfo_alg=self.userinfo_signed_response_alg or "",
            offline_access=self.offline_access,
            ends_with_session=self.refresh_token_lifetime == _WITH_SESSION,
        )


def _set_if_any(texts: tuple[str, ...] | None) -> frozenset[str] | None:
    return None if texts is None else frozenset(texts)
