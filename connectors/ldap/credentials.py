"""Which names and passwords are worth a question, and how they go to the directory: as typed.

Servers prepare texts (RFC 4513 section 5.1.3, RFC 4518), and some of them turn what looks like a
password into an empty one, which is a bind as nobody that succeeds.
"""

import stringprep
import unicodedata

from connectors.base import BadCredentials
from connectors.passwords import LONGEST_PASSWORD

LONGEST_NAME = 1024
"""Bytes of UTF-8."""


def name_octets(username: str) -> bytes:
    """Return a name as the directory is asked for it. Raises BadCredentials for nobody's."""
    return _octets("name", username, LONGEST_NAME)


def password_octets(password: str) -> bytes:
    """Return a password as it is sent. Raises BadCredentials for nobody's, and never repeats it."""
    return _octets("password", password, LONGEST_PASSWORD)


def _octets(what: str, text: str, longest: int) -> bytes:
    try:
        octets = text.encode("utf-8")
    except UnicodeEncodeError:
        raise BadCredentials(f"the {what} has a character that UTF-8 has no form for") from None
    if len(octets) > longest:
        raise BadCredentials(f"the {what} has more than {longest} bytes")
    if b"\0" in octets:
        raise BadCredentials(f"the {what} has a NUL character")
    if all(map(_vanishes, text)):
        raise BadCredentials(f"the {what} is empty, or would be to a directory")
    return octets


def _vanishes(char: str) -> bool:
    """Tell whether preparation may drop a character: spaces, controls, formats, joiners."""
    return unicodedata.category(char)[0] in "ZC" or stringprep.in_table_b1(char)
