"""What can be wrong with a token, as one tree.

Every text is fixed: it never repeats a byte of the token, so that it may be logged and answered.
"""


class TokenInvalid(Exception):
    """The token is not one of ours that is good here and now."""

    reason = "the token is not valid"

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or self.reason)


class TokenMalformed(TokenInvalid):
    """The text is not a compact JWS that we would look at (RFC 7515 section 7.1)."""

    reason = "the token is malformed"


class TokenKeyUnknown(TokenInvalid):
    """The token names no key of the published set."""

    reason = "the token is not signed with a published key"


class TokenSignatureBad(TokenInvalid):
    """The signature is not the named key's, or of another algorithm (RFC 8725 section 3.1)."""

    reason = "the signature of the token is not valid"


class TokenWrongType(TokenInvalid):
    """A token of one kind was shown at the door of another (RFC 8725 section 3.11)."""

    reason = "the token is of another kind"


class TokenWrongIssuer(TokenInvalid):
    """`iss` is not this issuer."""

    reason = "the token comes from another issuer"


class TokenWrongAudience(TokenInvalid):
    """`aud` does not contain the audience that was asked for."""

    reason = "the token is meant for another audience"


class TokenClaimsBroken(TokenInvalid):
    """A registered claim is missing or of the wrong kind (RFC 7519 section 4.1)."""

    reason = "a claim of the token is missing or of the wrong kind"


class TokenExpired(TokenInvalid):
    """`exp` has passed."""

    reason = "the token has expired"


class TokenNotYetValid(TokenInvalid):
    """`nbf` has not come."""

    reason = "the token is not valid yet"
