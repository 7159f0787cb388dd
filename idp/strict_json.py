"""JSON objects from strangers: one meaning or none (RFC 8259, RFC 8725 section 2.4).

Refused beside broken JSON: a name twice in one object, NaN and infinities, numbers beyond what a
float or 64 bits hold, half surrogates, bytes that are not UTF-8, deep nesting, and thousands of
members.
"""

import json
import math
import re
from typing import Any

# An object costs three times what a number does. Together with 16 KiB this stays below 1 ms.
_MAX_COMMAS = 2048
_MAX_OBJECTS = 256
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_HALF_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_object(data: bytes, *, max_depth: int = 8) -> dict[str, Any]:
    """Return the object; the outermost braces are depth 1.

    Raises ValueError with a fixed text that repeats nothing of the data.
    """
    _check_shape(data, max_depth)
    try:
        text = data.decode("utf-8")
        value = _DECODER.decode(text)
    except _Refused:
        raise
    except (ValueError, RecursionError):
        raise ValueError("not valid JSON") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    if _HALF_SURROGATE.search(text):
        _check_encodable(value)
    return value


class _Refused(ValueError):
    """One of our own refusals, whose text is fixed."""


def _check_shape(data: bytes, max_depth: int) -> None:
    # Brackets and commas in strings do not count. Escaped backslashes go first, so that what is
    # left before a quote escapes it; then every second piece between quotes lies outside strings.
    outside = b"".join(data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    if outside.count(b",") > _MAX_COMMAS or outside.count(b"{") > _MAX_OBJECTS:
        raise _Refused("too many members")
    # Each pass takes the innermost pairs away, so as many are needed as the text is deep. Which
    # bracket closes which is checked by the parser. All of it runs at the speed of C.
    brackets = outside.translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(max_depth):
        brackets = brackets.replace(b"[]", b"")
    if brackets:
        raise _Refused("nested too deeply, or not valid JSON")


def _check_encodable(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise _Refused("half a surrogate pair") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _Refused("a name occurs twice in one object")
    return result


def _integer(digits: str) -> int:
    # Nineteen digits and a sign hold 64 bits; longer ones cost time and mean nothing here.
    if len(digits) > 20 or not -(2**63) <= (number := int(digits)) < 2**63:
        raise _Refused("a number is too large")
    return number


def _decimal(digits: str) -> float:
    if len(digits) > 64 or not math.isfinite(number := float(digits)):
        raise _Refused("a number is too large")
    return number


def _constant(_: str) -> float:
    raise _Refused("NaN and Infinity are not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_int=_integer,
    parse_float=_decimal,
    parse_constant=_constant,
)
