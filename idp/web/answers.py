"""What is sent to browsers: a page under our policy, or a client's answer in the mode it asked for.

Success and error leave by one door, so that they cannot differ in where they go.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.responses import HTMLResponse, RedirectResponse, Response

from idp.oauth.authorize import Target
from idp.oauth.redirects import OUT_OF_BAND
from idp.oauth.response_modes import ResponseMode, answer_location
from idp.web.pages import SUBMIT_SCRIPT_SOURCE, Branding, Pages, content_security_policy

NO_STORE = {"cache-control": "no-store"}


@lru_cache(maxsize=256)
def client_sources(redirect_uri: str) -> tuple[str, ...]:
    """Return the CSP `form-action` sources that let a form end at the client.

    Chromium applies `form-action` to every redirect that follows the form, and an https application
    may send people on to another host of its own: so any https address is allowed for those, the
    one loopback address or private scheme for the others.
    """
    parts = urlsplit(redirect_uri)
    if parts.scheme == "https":
        return ("https:",)
    if parts.scheme == "http":
        # CSP has no IPv6 addresses; browsers ignore a source that holds one.
        host = "*" if parts.netloc.startswith("[") else parts.hostname
        port = "" if parts.port is None else f":{parts.port}"
        return (f"http://{host}{port}",)
    return (f"{parts.scheme}:",)


def form_sources(target: Target) -> tuple[str, ...]:
    """Return the `form-action` sources of a form of ours whose answer goes to the client.

    Where the answer is a page, out of band or as a form, the form itself stays here.
    """
    if target.redirect_uri == OUT_OF_BAND or target.response_mode is ResponseMode.FORM_POST:
        return ("'self'",)
    return ("'self'", *client_sources(target.redirect_uri))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Makes the responses of one issuer."""

    issuer: str
    pages: Pages
    branding: Branding

    def html(
        self,
        text: str,
        *,
        status: int = 200,
        form_action: tuple[str, ...] = (),
        scripts: tuple[str, ...] = (),
        images: tuple[str, ...] = (),
        frames: tuple[str, ...] = (),
    ) -> Response:
        """Return one of our pages with the headers that all of them have (R-55 to R-57)."""
        headers = {
            **NO_STORE,
            "content-security-policy": content_security_policy(
                self.branding,
                form_action=form_action,
                scripts=scripts,
                images=images,
                frames=frames,
            ),
            "x-frame-options": "DENY",
            "cross-origin-opener-policy": "same-origin",
        }
        return HTMLResponse(text, status_code=status, headers=headers)

    def deliver(self, target: Target, answer: Mapping[str, str]) -> Response:
        """Return what brings an answer to the client: a redirect, or a form that sends itself.

        `state` goes back as it came and `iss` names us on success and error alike (RFC 9207
        section 2). The redirect is 303 and never 307, which would send the password on (RFC 9700
        section 4.12). An answer out of band is a code that people copy.
        """
        if target.redirect_uri == OUT_OF_BAND:
            return self.html(self.pages.out_of_band(code=answer["code"]))
        members = dict(answer)
        if target.state is not None:
            members["state"] = target.state
        members["iss"] = self.issuer
        if target.response_mode is ResponseMode.FORM_POST:
            return self._form(target.redirect_uri, members)
        location = answer_location(target.redirect_uri, target.response_mode, members)
        return RedirectResponse(location, status_code=303, headers=NO_STORE)

    def _form(self, redirect_uri: str, members: Mapping[str, str]) -> Response:
        """Return the page of the Form Post Response Mode (section 2)."""
        return self.html(
            self.pages.form_post(action=redirect_uri, members=members),
            form_action=client_sources(redirect_uri),
            scripts=(SUBMIT_SCRIPT_SOURCE,),
        )
