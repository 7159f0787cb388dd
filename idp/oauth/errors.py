"""The errors that a client or a browser may be told, one class per wire code.

A class is the code and the HTTP status; an instance adds one sentence that says what is wrong and
how to mend it. They are rendered in `idp.web.errors` and nowhere else.

OAuthError
+- InvalidRequest, InvalidScope, InvalidGrant, InvalidClient, UnauthorizedClient, ...
+- InvalidToken, InsufficientScope                       (RFC 6750: at userinfo)
+- InvalidRedirectUri, InvalidClientMetadata, ...        (RFC 7591: at registration)
+- TemporarilyUnavailable                                (503, with Retry-After)
Untrusted                                                (a page, never a redirect)
"""

import re
from datetime import timedelta
from typing import ClassVar

_UNPRINTABLE = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")


def printable(text: str) -> str:
    """Return text with everything replaced that `error_description` must not hold.

    RFC 6749 section 5.2 allows printable ASCII without the quotation mark and the backslash.
    """
    return _UNPRINTABLE.sub("?", text.replace('"', "'"))


class OAuthError(Exception):
    """A refusal in the words of the specifications."""

    code: ClassVar[str]
    status: ClassVar[int] = 400

    def __init__(self, description: str) -> None:
        super().__init__(description)
        self.description = printable(description)


class InvalidRequest(OAuthError):
    """A parameter is missing, repeated, malformed or in the wrong place (RFC 6749, 4.1.2.1)."""

    code = "invalid_request"


class UnauthorizedClient(OAuthError):
    """The client may not use this grant (RFC 6749 section 5.2)."""

    code = "unauthorized_client"


class AccessDenied(OAuthError):
    """The person or a policy said no (RFC 6749 section 4.1.2.1)."""

    code = "access_denied"
    status = 403


class UnsupportedResponseType(OAuthError):
    """The response type is not served (RFC 6749 section 4.1.2.1)."""

    code = "unsupported_response_type"


class InvalidScope(OAuthError):
    """A scope is malformed or not to be had for this client (RFC 6749 section 3.3)."""

    code = "invalid_scope"


class InvalidClient(OAuthError):
    """Client authentication failed; says the same for unknown and wrong (RFC 6749, 5.2)."""

    code = "invalid_client"
    status = 401


class InvalidGrant(OAuthError):
    """The code or refresh token is not good, for whatever reason (RFC 6749 section 5.2)."""

    code = "invalid_grant"


class UnsupportedGrantType(OAuthError):
    """The grant type is not served (RFC 6749 section 5.2)."""

    code = "unsupported_grant_type"


class UnsupportedTokenType(OAuthError):
    """Tokens of this kind cannot be revoked (RFC 7009 section 2.2.1)."""

    code = "unsupported_token_type"


class LoginRequired(OAuthError):
    """The person would have to sign in and `prompt=none` forbids it (OIDC Core 3.1.2.6)."""

    code = "login_required"


class ConsentRequired(OAuthError):
    """The person would have to agree and `prompt=none` forbids to ask (OIDC Core 3.1.2.6)."""

    code = "consent_required"


class UnmetAuthenticationRequirements(OAuthError):
    """Nobody can sign in here in the way that is demanded (OIDC Core Error Code 1.0)."""

    code = "unmet_authentication_requirements"


class RequestNotSupported(OAuthError):
    """`request` is not served (OIDC Core 3.1.2.6)."""

    code = "request_not_supported"


class RequestUriNotSupported(OAuthError):
    """`request_uri` is not served (OIDC Core 3.1.2.6)."""

    code = "request_uri_not_supported"


class InvalidRequestObject(OAuthError):
    """The request object is not good, or not this client's for us (RFC 9101 section 7)."""

    code = "invalid_request_object"


class InvalidRequestUri(OAuthError):
    """What `request_uri` refers to is not allowed, or cannot be had (RFC 9101 section 7)."""

    code = "invalid_request_uri"


class RegistrationNotSupported(OAuthError):
    """`registration` is not served (OIDC Core 3.1.2.6)."""

    code = "registration_not_supported"


class InvalidToken(OAuthError):
    """The access token is expired, revoked, malformed or not ours (RFC 6750 section 3.1)."""

    code = "invalid_token"
    status = 401


class MissingToken(InvalidToken):
    """None came where one is needed; its challenge names no error (RFC 6750 section 3.1)."""


class InsufficientScope(OAuthError):
    """The access token does not carry the scope (RFC 6750 section 3.1)."""

    code = "insufficient_scope"
    status = 403


class InvalidRedirectUri(OAuthError):
    """A redirect URI cannot be registered (RFC 7591 section 3.2.2)."""

    code = "invalid_redirect_uri"


class InvalidClientMetadata(OAuthError):
    """A member of a client's metadata cannot be registered (RFC 7591 section 3.2.2)."""

    code = "invalid_client_metadata"


class UnapprovedSoftwareStatement(OAuthError):
    """A software statement is not taken here (RFC 7591 section 3.2.2)."""

    code = "unapproved_software_statement"


class RetryLater(OAuthError):
    """Not now; `retry_after` says when to try again (RFC 9110 section 10.2.3)."""

    code = "temporarily_unavailable"

    def __init__(self, description: str, retry_after: timedelta) -> None:
        super().__init__(description)
        self.retry_after = retry_after


class TooManyAttempts(RetryLater):
    """Too many wrong secrets; `retry_after` says when the next one is looked at (RFC 6585, 4)."""

    status = 429


class TemporarilyUnavailable(RetryLater):
    """The store or the connector is away; nothing was spent (RFC 6749 section 4.1.2.1)."""

    status = 503


class ServerError(OAuthError):
    """A fault of ours, always with a fixed text (RFC 6749 section 4.1.2.1)."""

    code = "server_error"
    status = 500


class Untrusted(Exception):
    """Client or redirect URI could not be checked: the browser gets a page, never a redirect.

    RFC 6749 section 4.1.2.1. `problem` and `remedy` are our own words and hold nothing of the
    request, so that a page may show them.
    """

    title: ClassVar[str] = "The sign‑in cannot start"

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
