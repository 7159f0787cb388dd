"""The section `sessions`: single sign-on, and for how long."""

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator

from idp.settings.fields import (
    Flag,
    Secret,
    Text,
    duration_between,
    optional_duration_between,
    whole_seconds,
)
from idp.settings.section import Section

# cookie-name of RFC 6265 section 4.1.1, which is a token.
_COOKIE_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")


def _cookie_name(text: str) -> str:
    if not _COOKIE_NAME.fullmatch(text):
        raise ValueError("must be letters, digits and `_-.`, at most 64")
    if text.lower().startswith(("__host-", "__secure-")):
        raise ValueError("begins with a prefix that the server puts there itself; leave it out")
    return text


class Sessions(Section):
    """Sessions are on where anything of this section is given, unless `enabled` is false.

    `valid_if_not_used_for` is None where disuse ends no session.
    """

    enabled: Flag = True
    cookie_name: Annotated[Text, AfterValidator(_cookie_name)] = "idp-session"
    cookie_encryption_key: Secret | None = None
    absolute_lifetime: Annotated[
        timedelta, duration_between("1s", "8760h"), AfterValidator(whole_seconds)
    ] = timedelta(hours=24)
    valid_if_not_used_for: Annotated[timedelta | None, optional_duration_between("1s", "8760h")] = (
        timedelta(hours=1)
    )
    remember_me_checked_by_default: Flag = True
    sso_shared_with_default: Literal["none", "all"] = "none"
