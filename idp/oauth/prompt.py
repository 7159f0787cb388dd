"""`prompt` and `max_age` of an authorization request (OIDC Core section 3.1.2.1)."""

import re

from idp.oauth.errors import InvalidRequest

NONE = "none"
LOGIN = "login"
CONSENT = "consent"
SELECT_ACCOUNT = "select_account"

_VALUES = frozenset((NONE, LOGIN, CONSENT, SELECT_ACCOUNT))
_SECONDS = re.compile(r"[0-9]{1,9}")


def read_prompt(text: str | None, approval_prompt: str | None) -> frozenset[str]:
    """Return the prompts asked for. Raises InvalidRequest for unknown ones and none with others.

    `approval_prompt=force` is Google's older spelling of `consent`, still sent by oauth2-proxy.
    """
    prompts = frozenset(part for part in (text or "").split(" ") if part)
    unknown = prompts - _VALUES
    if unknown:
        raise InvalidRequest("prompt knows none, login, consent and select_account.")
    if NONE in prompts and len(prompts) > 1:
        raise InvalidRequest("prompt=none cannot be combined with another prompt.")
    if approval_prompt == "force" and NONE not in prompts:
        return prompts | {CONSENT}
    return prompts


def read_max_age(text: str | None) -> int | None:
    """Return the seconds that a login may be old. Raises InvalidRequest."""
    if text is None:
        return None
    if _SECONDS.fullmatch(text) is None:
        raise InvalidRequest("max_age must be a number of seconds, at most nine digits.")
    return int(text)
