"""The cookie that refers to a browser's session: a reference and a tag, nothing of the person.

The tag is made over the name of the browser's other cookie too, so that a reference that was copied
out of one browser is nothing in another. The last use travels in it: a session that is used does
not end of disuse, and nothing is written for that.
"""

import re
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from idp.clock import Clock, epoch_seconds
from idp.login.sessions import Reference
from idp.web.cookies import Browser, Tags

_PURPOSE = "session reference"
_NUMBER = r"(?:0|[1-9][0-9]{0,11})"
_VALUE = re.compile(
    rf"(?P<said>(?P<session>[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?)\.(?P<generation>{_NUMBER})"
    rf"\.(?P<ends_at>{_NUMBER})\.(?P<used_at>{_NUMBER})\.(?P<kept>[rw]))\.(?P<tag>[A-Za-z0-9_-]{{16,64}})"
)
_REMEMBERED, _WINDOW = "r", "w"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCookies:
    """Reads and writes the session cookie of one issuer."""

    name: str
    secure: bool
    tags: Tags
    clock: Clock

    def read(self, request: Request, browser: Browser | None) -> Reference | None:
        """Return what a browser refers to, None where that was not written by us, for it."""
        found = _VALUE.fullmatch(request.cookies.get(self.name, ""))
        if found is None or browser is None:
            return None
        try:
            self.tags.check_tag(_PURPOSE, _message(browser, found["said"]), found["tag"])
        except ValueError:
            return None
        return Reference(
            session=found["session"],
            generation=int(found["generation"]),
            ends_at=int(found["ends_at"]),
            used_at=int(found["used_at"]),
            remembered=found["kept"] == _REMEMBERED,
        )

    def write(self, response: Response, browser: Browser, reference: Reference) -> None:
        """Set the cookie. One that is not to be remembered goes with the browser's window."""
        kept = _REMEMBERED if reference.remembered else _WINDOW
        said = (
            f"{reference.session}.{reference.generation}.{reference.ends_at}"
            f".{reference.used_at}.{kept}"
        )
        tag = self.tags.tag(_PURPOSE, _message(browser, said))
        age = ""
        if reference.remembered:
            age = f"; Max-Age={max(0, reference.ends_at - epoch_seconds(self.clock()))}"
        self._set(response, f"{said}.{tag}", age)

    def clear(self, response: Response) -> None:
        """Take the cookie away."""
        self._set(response, "", "; Max-Age=0")

    def is_sent(self, request: Request) -> bool:
        """Return whether the browser sent one, whatever it is worth."""
        return self.name in request.cookies

    def _set(self, response: Response, value: str, age: str) -> None:
        secure = "; Secure" if self.secure else ""
        response.headers.append(
            "set-cookie", f"{self.name}={value}; HttpOnly{age}; Path=/; SameSite=lax{secure}"
        )


def _message(browser: Browser, said: str) -> bytes:
    return f"{browser.id}\n{said}".encode("ascii")
