"""base64url without padding, one text for one value (RFC 4648 section 5, RFC 7515 section 2).

The standard library's decoder skips characters that it does not know and ignores spare bits, so
that many texts mean the same bytes. Here exactly one does.
"""

import base64


def encode(data: bytes) -> str:
    """Return the unpadded text."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Return the bytes. Raises ValueError unless `encode` would return exactly this text."""
    try:
        data = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except ValueError:
        # The library's own text would repeat a part of the input.
        raise ValueError("not base64url") from None
    if encode(data) != text:
        raise ValueError("not canonical base64url")
    return data
