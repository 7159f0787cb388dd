"""Tokens as people can read them. Nothing is checked here: that happened when they arrived."""

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from examples.app.provider import Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One token for the page: as sent, and decoded if it is a JWT."""

    name: str
    purpose: str
    raw: str
    header: str = ""
    claims: str = ""
    expiry: str = ""


def shown(tokens: Tokens, *, now: float) -> Iterable[Shown]:
    """Yield every token that we have."""
    yield _shown("ID token", "Says who you are. For this application only.", tokens.id_token, now)
    yield _shown("Access token", "Opens userinfo and other APIs.", tokens.access_token, now)
    if tokens.refresh_token is not None:
        purpose = "Gets new tokens without you. Only the provider can read it."
        yield _shown("Refresh token", purpose, tokens.refresh_token, now)


def _shown(name: str, purpose: str, raw: str, now: float) -> Shown:
    try:
        header, claims = (_part(part) for part in raw.split(".")[:2])
    except ValueError:
        return Shown(name=name, purpose=purpose, raw=raw)
    return Shown(
        name=name,
        purpose=purpose,
        raw=raw,
        header=pretty(header),
        claims=pretty(claims),
        expiry=_expiry(claims.get("exp"), now),
    )


def pretty(value: Any) -> str:
    """Return JSON as people like to read it."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def _part(part: str) -> dict[str, Any]:
    """Return one part of a JWT as JSON. Raises ValueError if it is none."""
    try:
        value = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("not a JWT") from error
    if not isinstance(value, dict):
        raise ValueError("not a JWT")
    return value


def _expiry(exp: object, now: float) -> str:
    if not isinstance(exp, int):
        return ""
    instant = datetime.fromtimestamp(exp, UTC).strftime("%H:%M:%S UTC")
    left = exp - int(now)
    if left <= 0:
        return f"Expired at {instant}."
    minutes, seconds = divmod(left, 60)
    hours, minutes = divmod(minutes, 60)
    span = f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
    return f"Expires in {span}, at {instant}."
