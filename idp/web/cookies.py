"""The one cookie: a random name for the browser, and proofs of who signed in with it before.

It binds a login to the browser that started it, and lets somebody who signed in here before go on
while an attacker guesses their password from elsewhere. It is no session: whoever holds it is not
signed in.
"""

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

LIFETIME = timedelta(days=180)
MOST_ACCOUNTS = 5

_PURPOSE = "known account"
_VALUE = re.compile(rf"[A-Za-z0-9_-]{{22}}(?:\.[A-Za-z0-9_-]{{16,64}}){{0,{MOST_ACCOUNTS}}}")


class Tags(Protocol):
    """Makes and checks authentication tags."""

    def tag(self, purpose: str, message: bytes) -> str:
        """Return a URL-safe tag."""
        ...

    def check_tag(self, purpose: str, message: bytes, tag: str) -> None:
        """Raise ValueError for a tag that is not ours."""
        ...


@dataclass(frozen=True, slots=True)
class Browser:
    """What the cookie says: an id and the tags of accounts."""

    id: str
    account_tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserCookies:
    """Reads and writes the cookie of one issuer."""

    name: str
    secure: bool
    tags: Tags
    random: Callable[[int], bytes]

    def read(self, request: Request) -> Browser | None:
        """Return the browser of a request, None where it has no cookie that we can read."""
        value = request.cookies.get(self.name, "")
        if _VALUE.fullmatch(value) is None:
            return None
        browser_id, *tags = value.split(".")
        return Browser(browser_id, tuple(tags))

    def id_of(self, request: Request) -> str | None:
        """Return the id of the browser of a request, None where it has no cookie of ours."""
        browser = self.read(request)
        return None if browser is None else browser.id

    def fresh(self) -> Browser:
        """Return a browser that was not here before."""
        return Browser(urlsafe_b64encode(self.random(16)).rstrip(b"=").decode("ascii"))

    def knows(self, browser: Browser, account: str) -> bool:
        """Return whether this account signed in with this browser before."""
        return any(self._is_tag_of(browser, account, tag) for tag in browser.account_tags)

    def with_account(self, browser: Browser, account: str) -> Browser:
        """Return the browser with an account added to those that signed in with it."""
        tag = self.tags.tag(_PURPOSE, _message(browser, account))
        others = [known for known in browser.account_tags if known != tag]
        return Browser(browser.id, (tag, *others)[:MOST_ACCOUNTS])

    def write(self, response: Response, browser: Browser) -> None:
        """Set the cookie on a response."""
        # Every part is of a fixed alphabet, so nothing needs quoting (RFC 6265 section 4.1).
        value = ".".join((browser.id, *browser.account_tags))
        age = int(LIFETIME.total_seconds())
        secure = "; Secure" if self.secure else ""
        response.headers.append(
            "set-cookie",
            f"{self.name}={value}; HttpOnly; Max-Age={age}; Path=/; SameSite=lax{secure}",
        )

    def _is_tag_of(self, browser: Browser, account: str, tag: str) -> bool:
        try:
            self.tags.check_tag(_PURPOSE, _message(browser, account), tag)
        except ValueError:
            return False
        return True


def _message(browser: Browser, account: str) -> bytes:
    return f"{browser.id}\n{account}".encode("utf-8", "surrogatepass")


def cookie_name(name: str, issuer: str) -> str:
    """Return the name of a cookie, which differs between issuers on one host.

    The `__Host-` prefix keeps other hosts of the domain from setting it, and needs https
    (RFC 6265bis section 4.1.3.2); on loopback http there is none.
    """
    digest = hashlib.sha256(issuer.encode()).hexdigest()[:8]
    prefix = "__Host-" if issuer.startswith("https:") else ""
    return f"{prefix}{name}-{digest}"
