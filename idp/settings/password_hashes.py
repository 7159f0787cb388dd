"""Which password hashes a configuration may hold: bcrypt, as Dex's users bring it, and argon2id."""

import base64
import binascii
import re

_BCRYPT = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}")
_ARGON2ID = re.compile(
    r"\$argon2id\$v=19\$m=([0-9]{1,8}),t=([0-9]{1,4}),p=([0-9]{1,3})"
    r"\$[A-Za-z0-9+/]{11,88}\$[A-Za-z0-9+/]{22,172}"
)
_MOST_MEMORY = 1024 * 1024
"""KiB; more would let one wrong password push the server over its limit."""


def check_password_hash(text: str) -> str:
    """Return the hash, decoded if it was given in base64 as Dex's older files do.

    Raises ValueError, whose text continues a sentence that begins with the value and never holds
    any of it.
    """
    if not text.startswith("$"):
        text = _decoded(text)
    if bcrypt := _BCRYPT.fullmatch(text):
        if not 10 <= int(bcrypt[1]) <= 16:
            raise ValueError("is a bcrypt hash whose cost is not from 10 to 16; make a new one")
        return text
    if argon2 := _ARGON2ID.fullmatch(text):
        memory, rounds, lanes = (int(number) for number in argon2.groups())
        if not (8 * lanes <= memory <= _MOST_MEMORY and 1 <= rounds <= 64 and 1 <= lanes <= 16):
            raise ValueError("is an argon2id hash of unreasonable cost; make a new one")
        return text
    raise ValueError(
        "is not a bcrypt or argon2id hash; make one with `idp hash-password` and put it in"
        " single quotes"
    )


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return ""
