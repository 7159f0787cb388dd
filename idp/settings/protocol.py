"""Sections about what is issued and for how long: `oauth2`, `expiry`, `signer`."""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from idp.durations import parse_duration
from idp.oauth.request_uris import ANY_HOST
from idp.oauth.response_types import KNOWN, TOKEN, canonical, served_types
from idp.settings.fields import (
    Flag,
    Text,
    check_host,
    duration_between,
    optional_duration_between,
    whole_seconds,
)
from idp.settings.section import Section


def _served(served: str, kind: str, known_to_dex: frozenset[str]) -> AfterValidator:
    names = served.split()

    def check(text: str) -> str:
        if text in names:
            return text
        if text in known_to_dex:
            raise ValueError(f"is a {kind} of Dex that kube-idp does not serve yet; remove it")
        raise ValueError(f"is not a {kind}; served are {', '.join(names)}")

    return AfterValidator(check)


def _unless_empty(*default: str) -> AfterValidator:
    return AfterValidator(lambda given: given or default)


GRANT_TYPES = _served(
    "authorization_code refresh_token client_credentials implicit",
    "grant type",
    frozenset(
        {
            "password",
            "device_code",
            "token-exchange",
            "urn:ietf:params:oauth:grant-type:device_code",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        }
    ),
)


def _response_type(text: str) -> str:
    if canonical(text) not in (*KNOWN, TOKEN):
        raise ValueError(f"is not a response type; served are {', '.join(KNOWN)}")
    return text


def _some_response_type(types: tuple[str, ...]) -> tuple[str, ...]:
    if types and not served_types(types):
        raise ValueError("serves nothing: `token` is only served beside `code` or `id_token`")
    return types


_CHALLENGE_METHODS = _served("S256", "code challenge method", frozenset({"plain"}))


class Pkce(Section):
    """PKCE is always demanded of public clients; `enforce` demands it of all (RFC 7636)."""

    enforce: Flag = False
    code_challenge_methods_supported: Annotated[
        tuple[Annotated[Text, _CHALLENGE_METHODS], ...], _unless_empty("S256")
    ] = ("S256",)


def _request_uri_host(text: str) -> str:
    return text if text == ANY_HOST else check_host(text)


RequestUriHost = Annotated[Text, AfterValidator(_request_uri_host)]


class OAuth2(Section):
    """Flows that are offered. An empty list means the default, as with Dex."""

    unserved: ClassVar[frozenset[str]] = frozenset({"passwordConnector"})

    grant_types: Annotated[
        tuple[Annotated[Text, GRANT_TYPES], ...],
        _unless_empty("authorization_code", "refresh_token"),
    ] = ("authorization_code", "refresh_token")
    response_types: Annotated[
        tuple[Annotated[Text, AfterValidator(_response_type)], ...],
        AfterValidator(_some_response_type),
        _unless_empty("code"),
    ] = ("code",)
    request_uri_hosts: tuple[RequestUriHost, ...] = ()
    skip_approval_screen: Flag = False
    always_show_login_screen: Flag = False
    pkce: Pkce = Pkce()


class RefreshTokens(Section):
    """How long refresh tokens live; None means without end. `reuse_interval` is the grace."""

    disable_rotation: Flag = False
    reuse_interval: Annotated[timedelta, duration_between("0s", "5m")] = timedelta(seconds=60)
    absolute_lifetime: Annotated[timedelta | None, optional_duration_between("1s", "87600h")] = (
        timedelta(days=180)
    )
    valid_if_not_used_for: Annotated[
        timedelta | None, optional_duration_between("1s", "87600h")
    ] = timedelta(days=30)


class Expiry(Section):
    """Lifetimes. `key_cache_for` is how long clients may keep the key set: its max-age.

    `longest_tokens` bounds what single clients may be given; None is `id_tokens`.
    """

    unserved: ClassVar[frozenset[str]] = frozenset({"deviceRequests"})

    id_tokens: Annotated[
        timedelta, duration_between("1s", "168h"), AfterValidator(whole_seconds)
    ] = timedelta(hours=1)
    longest_tokens: (
        Annotated[timedelta, duration_between("1s", "168h"), AfterValidator(whole_seconds)] | None
    ) = None
    auth_requests: Annotated[timedelta, duration_between("1s", "24h")] = timedelta(minutes=30)
    auth_codes: Annotated[timedelta, duration_between("1s", "10m")] = timedelta(seconds=60)
    signing_keys: Annotated[timedelta, duration_between("1s", "8760h")] | None = None
    key_cache_for: Annotated[
        timedelta, duration_between("1s", "60s"), AfterValidator(whole_seconds)
    ] = timedelta(seconds=60)
    refresh_tokens: RefreshTokens = RefreshTokens()


SigningAlgorithm = Literal["RS256", "ES256"]


class LocalSigner(Section):
    """Keys that the server makes and rotates itself.

    With `additional_algorithms` ID tokens are signed for the clients that ask for them.
    """

    keys_rotation_period: Annotated[timedelta, duration_between("1s", "8760h")] | None = None
    algorithm: SigningAlgorithm = "RS256"
    additional_algorithms: tuple[SigningAlgorithm, ...] = ()

    @property
    def algorithms(self) -> tuple[SigningAlgorithm, ...]:
        """Return everything that is signed with, the provider's own first."""
        return tuple(dict.fromkeys((self.algorithm, *self.additional_algorithms)))


class Signer(Section):
    """Where signing keys are."""

    type: Text = Field(default="local", description="the only signer is `local`")
    config: LocalSigner = LocalSigner()


DEFAULT_ROTATION_PERIOD = parse_duration("6h")
