"""Password hashes as configurations write them: as they are or, in Dex's older files, in base64."""

import base64
import binascii

from connectors.passwords import UnusableHash, hash_kind


def check_password_hash(text: str) -> str:
    """Return the hash, decoded if it was given in base64.

    Raises ValueError, whose text continues a sentence that begins with the value and never holds
    any of it.
    """
    password_hash = text if text.startswith("$") else _decoded(text)
    try:
        hash_kind(password_hash)
    except UnusableHash as error:
        raise ValueError(
            f"cannot be used: {error}; make one with `idp hash-password`, put it in single quotes"
        ) from None
    return password_hash


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return ""
