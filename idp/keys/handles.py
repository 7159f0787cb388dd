"""The text of codes and refresh tokens: what names a record and proves that we said so.

    code            kic_<name>.<mac>.<tag>
    refresh token   kir_<name>.<generation>.<mac>.<tag>

`mac` is keyed with the seed that is sealed in the record, so a successor is computed and nothing
usable is stored. `tag` is made with a sealing key over all that stands before it: a forged text is
refused before the store hears of it.
"""

import hmac
import re
from dataclasses import dataclass, field

from idp.keys import base64url
from idp.keys.seal import SealBroken, SealingKeys, SealingKeyUnknown

CODE = "code"
"""What `ParsedHandle.kind` says of a code."""

_REFRESH_TOKEN = "refresh token"  # noqa: S105 -- the name of a kind, no secret
# What every store can hold as a name (RFC 1123 section 2.1).
_NAME_FORM = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(_NAME_FORM)
_MAC_LENGTH = 18
_MAC_AND_TAG = r"\.(?P<mac>[A-Za-z0-9_-]{24}))\.(?P<tag>[A-Za-z0-9_-]{32})"
_CODE_FORM = re.compile(rf"(?P<signed>kic_(?P<name>{_NAME_FORM})" + _MAC_AND_TAG)
_REFRESH_FORM = re.compile(
    rf"(?P<signed>kir_(?P<name>{_NAME_FORM})\.(?P<generation>0|[1-9][0-9]{{0,15}})" + _MAC_AND_TAG
)
_GENERATION_END = 2**53


class HandleBroken(ValueError):
    """The text is no code or refresh token of ours."""


@dataclass(frozen=True, slots=True)
class ParsedHandle:
    """A text of the right form. `check` decides whether it belongs to the record of that name."""

    kind: str
    name: str
    generation: int
    mac: str = field(repr=False)


class HandleKeyUnknown(HandleBroken):
    """The tag names a sealing key that we do not have; `parsed` is not authenticated by anything.

    After the loss of an outer key the record's own seed can still prove the text, at the price of
    a look-up, which the caller must limit in rate.
    """

    def __init__(self, parsed: ParsedHandle) -> None:
        super().__init__(f"the {parsed.kind} names a sealing key that is not among ours")
        self.parsed = parsed


@dataclass(frozen=True, slots=True)
class Handles:
    """Makes and reads codes and refresh tokens."""

    sealing: SealingKeys

    def code(self, name: str, seed: bytes) -> str:
        """Return the code of the record `name`. Raises ValueError for a name it cannot hold."""
        return self._text(CODE, f"kic_{_checked(name)}", _mac(CODE, name, 0, seed))

    def refresh_token(self, name: str, generation: int, seed: bytes) -> str:
        """Return the refresh token of a generation, 0 <= generation < 2**53. Raises ValueError."""
        if not 0 <= generation < _GENERATION_END:
            raise ValueError(f"generation {generation} is out of range")
        mac = _mac(_REFRESH_TOKEN, name, generation, seed)
        return self._text(_REFRESH_TOKEN, f"kir_{_checked(name)}.{generation}", mac)

    def parse_code(self, text: str) -> ParsedHandle:
        """Check form and tag; the generation is 0. Raises HandleBroken or HandleKeyUnknown."""
        match = _CODE_FORM.fullmatch(text)
        if match is None:
            raise HandleBroken("this is no code")
        return self._tagged(match, ParsedHandle(CODE, match["name"], 0, match["mac"]))

    def parse_refresh_token(self, text: str) -> ParsedHandle:
        """Check form and tag only. Raises HandleBroken or HandleKeyUnknown."""
        match = _REFRESH_FORM.fullmatch(text)
        if match is None or (generation := int(match["generation"])) >= _GENERATION_END:
            raise HandleBroken("this is no refresh token")
        parsed = ParsedHandle(_REFRESH_TOKEN, match["name"], generation, match["mac"])
        return self._tagged(match, parsed)

    def check(self, parsed: ParsedHandle, seed: bytes) -> None:
        """Accept what was made with the record's seed. Raises HandleBroken otherwise."""
        expected = _mac(parsed.kind, parsed.name, parsed.generation, seed)
        if not hmac.compare_digest(expected, parsed.mac):
            raise HandleBroken(f"the {parsed.kind} does not belong to its record")

    def _text(self, kind: str, start: str, mac: str) -> str:
        signed = f"{start}.{mac}"
        return f"{signed}.{self.sealing.tag(kind, signed.encode())}"

    def _tagged(self, match: re.Match[str], parsed: ParsedHandle) -> ParsedHandle:
        try:
            self.sealing.check_tag(parsed.kind, match["signed"].encode(), match["tag"])
        except SealingKeyUnknown:
            raise HandleKeyUnknown(parsed) from None
        except SealBroken:
            raise HandleBroken(f"the {parsed.kind} is not ours") from None
        return parsed


def _checked(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise ValueError("a record's name has 1 to 63 characters of a-z, 0-9 and inner -")
    return name


def _mac(kind: str, name: str, generation: int, seed: bytes) -> str:
    if len(seed) < 16:
        raise ValueError(f"a seed has at least 16 bytes, not {len(seed)}")
    message = f"kube-idp {kind}\n{name}\n{generation}".encode()
    return base64url.encode(hmac.digest(seed, message, "sha256")[:_MAC_LENGTH])
