"""The section `registration`: whether applications may register themselves."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, SecretStr

from idp.settings.fields import Secret, count_between
from idp.settings.section import Section

# b68token of RFC 6750 section 2.1: what can be sent as a Bearer token at all.
_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*")


def _bearer_token(secret: SecretStr) -> SecretStr:
    if not _BEARER.fullmatch(secret.get_secret_value()):
        raise ValueError("must be made of letters, digits and `-._~+/`, as Bearer tokens are")
    return secret


InitialAccessToken = Annotated[Secret, AfterValidator(_bearer_token)]


class Registration(Section):
    """Who may register a client (RFC 7591), and how many may be registered in all.

    `rules.py` sees to it that there are tokens where they are asked for, and only there.
    """

    mode: Literal["off", "token", "open"] = "off"
    initial_access_tokens: tuple[InitialAccessToken, ...] = ()
    max_clients: Annotated[int, count_between(1, 10_000)] = 1000
