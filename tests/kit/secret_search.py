"""Looks for secrets in what somebody got hold of, however they are written there."""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

_TOKEN_LIKE = re.compile(rb"[A-Za-z0-9_.~+/=-]{20,4096}")
_SHORTEST = 8


@dataclass(slots=True)
class Secrets:
    """Secrets of a run by what they are; each is looked for in every common way of writing it."""

    by_name: dict[str, bytes] = field(default_factory=dict, repr=False)

    def add(self, name: str, secret: str | bytes) -> None:
        """Take in a secret; tokens in parts are looked for by each part that says something."""
        raw = secret.encode() if isinstance(secret, str) else secret
        if len(raw) < _SHORTEST:
            raise ValueError(f"{name} is too short to be looked for")
        self.by_name[f"{name} ({len(self.by_name)})"] = raw

    def add_token(self, name: str, token: str, *, except_parts: Iterable[str] = ()) -> None:
        """Take in a token of several parts, apart from those that are no secret."""
        self.add(name, token)
        for part in token.split("."):
            if len(part) >= 20 and part not in except_parts:
                self.add(f"part of {name}", part)

    def found_in(self, dump: Mapping[str, bytes]) -> list[str]:
        """Return which secret stands where."""
        return [
            f"{name} in {place}"
            for name, secret in self.by_name.items()
            for place, content in dump.items()
            if any(form in content for form in _forms(secret))
        ]


def token_like(contents: Iterable[bytes]) -> set[str]:
    """Return every string that might be somebody's credential."""
    return {found.decode("ascii") for content in contents for found in _TOKEN_LIKE.findall(content)}


def _forms(secret: bytes) -> Iterator[bytes]:
    yield secret
    yield secret.hex().encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        # Inside a longer text the first and last characters depend on the neighbours.
        for shift in range(3):
            encoded = encode(b"\0" * shift + secret).rstrip(b"=")
            yield encoded[4 if shift else 0 : -1]
