"""Proof Key for Code Exchange (RFC 7636): S256 only, `plain` is not offered."""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode

from idp.oauth.errors import InvalidGrant, InvalidRequest

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def check_challenge(challenge: str | None, method: str | None) -> str:
    """Return the challenge of an authorization request, "" when none was sent.

    Raises InvalidRequest for a method other than S256 or a challenge that no SHA-256 can be
    (RFC 7636 sections 4.2 and 4.4.1). A missing method means `plain` there, so it is refused too.
    """
    if challenge is None:
        if method is not None:
            raise InvalidRequest("code_challenge_method came without code_challenge.")
        return ""
    if method != "S256":
        raise InvalidRequest("code_challenge_method must be S256.")
    if _CHALLENGE.fullmatch(challenge) is None:
        raise InvalidRequest("code_challenge must be the 43 base64url characters of a SHA-256.")
    return challenge


def challenge_of(verifier: str) -> str:
    """Return the S256 challenge of a verifier (RFC 7636 section 4.2)."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def check_verifier(verifier: str | None, challenge: str) -> None:
    """Check the verifier of a token request against the challenge that the code carries.

    Raises InvalidGrant in every case that does not fit, in both directions: a challenge without a
    verifier, and a verifier without a challenge (RFC 9700 section 4.8.2).
    """
    refusal = InvalidGrant("The code or its code_verifier is not valid. Start the login again.")
    if verifier is None:
        if challenge:
            raise refusal
        return
    if not challenge or _VERIFIER.fullmatch(verifier) is None:
        raise refusal
    if not hmac.compare_digest(challenge_of(verifier), challenge):
        raise refusal
