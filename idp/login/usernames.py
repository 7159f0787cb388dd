"""One name for one person, however it was typed.

`Alice`, `alice ` and the same in full-width letters are one account to a directory, so they must be
one account to the throttle and to the list of local users as well (RFC 8265 section 3.3).

The canonical form is for our own look-ups only. A connector is handed `as_typed`, once `canonical`
has accepted the name: a directory has matching rules of its own, and what a person typed belongs in
its log as they typed it.
"""

import re
import unicodedata

from precis_i18n import get_profile

_LONGEST = 255
"""Bytes of UTF-8, typed and canonical."""

_PLAIN = re.compile(r"[!-~]+")
"""Printable ASCII without spaces."""

_PROFILE = get_profile("UsernameCaseMapped:CaseFold")
"""RFC 8265 maps to lower case; directories fold, as `straße` and `STRASSE` are one name there."""


class UsernameRefused(ValueError):
    """The text can be nobody's name; the answer is the same as to a wrong password."""


def as_typed(username: str) -> str:
    """Return what a connector is asked for: the typed name without the spaces around it."""
    return username.strip(" ")


def canonical(username: str) -> str:
    """Return the form that all spellings of one name share.

    Width is mapped, case folded, the result composed (NFC), runs of spaces become one, spaces
    around the name go (RFC 8265 sections 3.3 and 3.5). Raises UsernameRefused for an empty name,
    more than 255 bytes, controls, invisible and compatibility characters, directions mixed in one
    word, lone surrogates.
    """
    typed = as_typed(username)
    if not 0 < len(typed) <= _LONGEST:
        raise UsernameRefused("a user name has 1 to 255 bytes")
    if _PLAIN.fullmatch(typed):
        # What nearly everybody types, and what the profile does to it (RFC 8264 section 9.11).
        return typed.lower()
    try:
        name = " ".join(_PROFILE.enforce(part) for part in typed.split(" ") if part)
        longest = max(len(typed.encode()), len(name.encode()))
    except UnicodeEncodeError:
        # The text of the foreign error quotes the name, which may be a password in the wrong field.
        raise UsernameRefused("the user name has a character that no name may have") from None
    if longest > _LONGEST:
        raise UsernameRefused("a user name has 1 to 255 bytes")
    return name


def throttle_name(username: str) -> str:
    """Return the coarser form under which tries are counted: the canonical name without accents.

    Active Directory matches names without regard to accents, so `alice` and `álicé` are one account
    there, and each spelling must not bring fresh tries. Two people who share this form wait for
    each other's mistakes and nothing else. Raises UsernameRefused.
    """
    name = canonical(username)
    if name.isascii():
        return name
    letters = unicodedata.normalize("NFD", name)
    bare = "".join(letter for letter in letters if unicodedata.category(letter) != "Mn")
    return unicodedata.normalize("NFC", bare)
