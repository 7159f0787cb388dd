"""The HTML of every page: values in, text out, nothing about HTTP.

Every value is escaped by the templates. Addresses get a second look, because escaping does not make
`javascript:` harmless: only paths of our own are ever put into a link or a form, and the address of
a client into the one form that carries its answer.
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Literal, get_args
from urllib.parse import urlsplit

from jinja2 import BytecodeCache, Environment, PackageLoader, StrictUndefined

from idp.web.account_face import AccountFace

Theme = Literal["auto", "light", "dark"]

Reach = Literal["browser", "everywhere"]
"""What somebody was signed out of."""

WRONG_CREDENTIALS = "These two do not belong together. Please check both and try again."
"""The one text for every failed password (R-66): it must not say which part was wrong."""

SUBMIT_SCRIPT = "document.forms[0].submit()"
"""The one script of all pages: it sends the form that carries an answer to a client."""

_SUBMIT_HASH = b64encode(hashlib.sha256(SUBMIT_SCRIPT.encode()).digest()).decode()
SUBMIT_SCRIPT_SOURCE = f"'sha256-{_SUBMIT_HASH}'"
"""The script's source in a Content-Security-Policy: this text and no other may run."""

_OWN_PATH = re.compile(r"/(?!/)[^\\\x00-\x20\x7f]*")
_CSP_SOURCE = re.compile(r"[\x21-\x2b\x2d-\x3a\x3c-\x7e]+")  # visible ASCII but for , and ;
_CONTENT_TYPES = {"css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
_PASSWORD_CONNECTORS = frozenset({"local", "ldap"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Branding:
    """How the pages present themselves.

    `base_path` is the path of the issuer, "" or like "/dex". `logo_url` is an http(s) address or a
    path of our own; None shows our mark. Raises ValueError, naming the field, for anything else.
    """

    name: str = "kube-idp"
    base_path: str = ""
    logo_url: str | None = None
    theme: Theme = "auto"

    def __post_init__(self) -> None:
        if self.theme not in get_args(Theme):
            raise ValueError(f"theme is {self.theme!r}; it can be one of {get_args(Theme)}")
        if self.base_path and (own_path(self.base_path) is None or self.base_path.endswith("/")):
            raise ValueError(f"base_path is {self.base_path!r}; it is empty or a path like '/dex'")
        if self.logo_url is not None and not own_path(self.logo_url) and not _origin(self.logo_url):
            raise ValueError(f"logo_url is {self.logo_url!r}; use an http(s) address or a '/path'")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorChoice:
    """One line of the chooser; `url` is a path of our own."""

    id: str
    name: str
    type: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientFace:
    """What people are shown of a client; an address that is no http(s) address is dropped."""

    name: str
    logo_url: str = ""
    tos_url: str = ""
    policy_url: str = ""

    def __post_init__(self) -> None:
        for field in ("logo_url", "tos_url", "policy_url"):
            if _origin(getattr(self, field)) is None:
                object.__setattr__(self, field, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What the login form shows as given: a name, and the box `remember_me`, None for no box."""

    username: str = ""
    remember: bool | None = None


BLANK = Filled()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A file that the pages refer to. Its path contains its hash: cache it for ever."""

    body: bytes
    content_type: str


class Pages:
    """Renders the pages of one issuer. All templates are compiled at once: none fails later."""

    def __init__(self, branding: Branding, *, compiled: BytecodeCache | None = None) -> None:
        """Compile all templates, or take from `compiled` those that were compiled before."""
        self._environment = Environment(
            loader=PackageLoader("idp.web", "templates"),
            bytecode_cache=compiled,
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        # Values of every page, handed to each: Jinja's globals cost a lookup through several maps.
        self._environment.globals.clear()
        self._branding = {
            "brand": branding.name,
            "theme": branding.theme,
            "style_url": branding.base_path + _asset_path("main.css"),
            "icon_url": branding.base_path + _asset_path("mark.svg"),
            "logo_url": branding.logo_url or branding.base_path + _asset_path("mark.svg"),
        }
        self._templates = {
            name: self._environment.get_template(name)
            for name in self._environment.list_templates()
        }

    def login(
        self,
        *,
        connector_name: str | None = None,
        username_prompt: str,
        action: str,
        state: str,
        filled: Filled = BLANK,
        error: str | None = None,
        client: ClientFace | None = None,
        back_url: str | None = None,
    ) -> str:
        """Return the form for name and password; it posts `login`, `password` and `state`.

        `connector_name` says which way to sign in was chosen, where there are several.
        `client` is whom it is for. `error` is a sentence and keeps the name that was typed.
        A `back_url` that is not a path of our own is dropped (R-61).
        """
        return self._render(
            "login.html",
            connector_name=connector_name,
            username_prompt=username_prompt,
            username=filled.username,
            remember=filled.remember,
            action=_required_path(action),
            state=state,
            error=error,
            client=client,
            back_url=own_path(back_url),
        )

    def chooser(self, *, client_name: str | None, connectors: Sequence[ConnectorChoice]) -> str:
        """Return the page that offers the ways to sign in, in the order given."""
        choices = [
            {
                "id": connector.id,
                "name": connector.name,
                "takes_password": connector.type in _PASSWORD_CONNECTORS,
                "url": _required_path(connector.url),
            }
            for connector in connectors
        ]
        return self._render("chooser.html", client_name=client_name, connectors=choices)

    def approval(
        self,
        *,
        username: str,
        client: ClientFace,
        scopes: Sequence[str],
        action: str,
        state: str,
    ) -> str:
        """Return the question whether a client may have what it asks for.

        `scopes` are sentences, see `scope_sentences`. The answer is posted as `approval`, together
        with `state`: "approve", "reject", or "switch" by whoever is somebody else.
        """
        return self._render(
            "approval.html",
            username=username,
            client=client,
            sentences=scopes,
            action=_required_path(action),
            state=state,
        )

    def account(self, face: AccountFace, *, action: str, state: str, note: str) -> str:
        """Return what somebody has here, with a button for each thing that they can end.

        Posted with `state`: `end_session`, `end_login` and `forget` with the value of their line,
        or `everywhere`. `note` tells what was just done, "" nothing.
        """
        return self._render(
            "account.html", face=face, action=_required_path(action), state=state, note=note
        )

    def select_account(
        self, *, client_name: str, username: str, email: str, action: str, state: str
    ) -> str:
        """Return the question as whom to go on; posted as `account`, "current" or "other"."""
        return self._render(
            "select_account.html",
            client_name=client_name,
            username=username,
            email=email,
            action=_required_path(action),
            state=state,
        )

    def logout(
        self, *, username: str, client_name: str, action: str, account_url: str, state: str
    ) -> str:
        """Return the question whether somebody wants to sign out.

        `client_name` is "" where no application asks. The answer is posted as `logout`, "yes" or
        "no", together with `state`.
        """
        return self._render(
            "logout.html",
            username=username,
            client_name=client_name,
            action=_required_path(action),
            account_url=_required_path(account_url),
            state=state,
        )

    def signed_out(
        self,
        *,
        account_url: str,
        continue_url: str = "",
        client_name: str = "",
        frames: Sequence[str] = (),
        reach: Reach = "browser",
    ) -> str:
        """Return the page after signing out, which goes on to `continue_url` by itself.

        `frames` are addresses of applications that end their own sessions when they are loaded.
        Both are registered by the operator; a `continue_url` may have any scheme that is.
        """
        return self._render(
            "signed_out.html",
            account_url=_required_path(account_url),
            continue_url=continue_url,
            client_name=client_name,
            frames=frames,
            reach=reach,
        )

    def still_signed_in(self, *, username: str, account_url: str) -> str:
        """Return the page for somebody who would rather stay."""
        return self._render(
            "still_signed_in.html", username=username, account_url=_required_path(account_url)
        )

    def error(
        self, *, status: int, title: str, message: str, request_id: str, hint: str | None = None
    ) -> str:
        """Return what went wrong, how to mend it, and the id under which the log has the rest."""
        return self._render(
            "error.html",
            status=status,
            title=title,
            message=message,
            hint=hint,
            request_id=request_id,
        )

    def out_of_band(self, *, code: str) -> str:
        """Return the page to copy a code from, for clients that have no address of their own."""
        return self._render("out_of_band.html", code=code)

    def form_post(self, *, action: str, members: Mapping[str, str]) -> str:
        """Return the form that brings an answer to a client, and a button for want of scripts.

        `action` is a checked redirect URI. Form Post Response Mode section 2.
        """
        return self._render(
            "form_post.html",
            action=_required_web_address(action),
            members=members.items(),
            script=SUBMIT_SCRIPT,
        )

    def home(self, *, issuer: str, discovery_url: str, account_url: str | None = None) -> str:
        """Return the page at the issuer's own address; all addresses are the server's own.

        `account_url` is None where browsers have no sessions.
        """
        return self._render(
            "home.html", issuer=issuer, discovery_url=discovery_url, account_url=account_url
        )

    def _render(self, template: str, **values: object) -> str:
        return self._templates[template].render(self._branding | values)


def own_path(url: str | None) -> str | None:
    """Return the URL if it is a rooted path on this very server, else None (R-61).

    Browsers read `/\\host` and `/<tab>/host` as `//host`: backslashes, blanks and control
    characters are refused anywhere.
    """
    return url if url is not None and _OWN_PATH.fullmatch(url) else None


@lru_cache(maxsize=256)
def content_security_policy(
    branding: Branding,
    *,
    form_action: tuple[str, ...],
    scripts: tuple[str, ...] = (),
    images: tuple[str, ...] = (),
    frames: tuple[str, ...] = (),
) -> str:
    """Return the policy that every page works under (R-55, R-56).

    `form_action` are CSP sources such as "'self'", "https://app.example.com" or "com.example.app:";
    none forbids forms. `scripts` are the hashes of the scripts that may run, on most pages none.
    `images` and `frames` are addresses whose origins may be shown beside our own and within a page.
    Raises ValueError for a source that would add a directive.
    """
    shown = ["'self'", _origin(branding.logo_url or ""), *map(_origin, images)]
    framed = [origin for origin in map(_origin, frames) if origin]
    directives = {
        "default-src": ["'none'"],
        "style-src": ["'self'"],
        "img-src": list(dict.fromkeys(source for source in shown if source)),
        "form-action": list(form_action) or ["'none'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        **({"script-src": list(scripts)} if scripts else {}),
        **({"frame-src": list(dict.fromkeys(framed))} if framed else {}),
    }
    for source in (source for sources in directives.values() for source in sources):
        if not _CSP_SOURCE.fullmatch(source):
            raise ValueError(f"{source!r} cannot be a source of a Content-Security-Policy")
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in directives.items())


@cache
def assets() -> Mapping[str, Asset]:
    """Return the files that the pages use, by their path below the issuer's."""
    found: dict[str, Asset] = {}
    for file in files("idp.web").joinpath("static").iterdir():
        stem, _, suffix = file.name.rpartition(".")
        if suffix in _CONTENT_TYPES:
            body = file.read_bytes()
            digest = hashlib.sha256(body).hexdigest()[:12]
            asset = Asset(body=body, content_type=_CONTENT_TYPES[suffix])
            found[f"/static/{stem}.{digest}.{suffix}"] = asset
    return MappingProxyType(found)


def _asset_path(name: str) -> str:
    stem, _, suffix = name.rpartition(".")
    return next(
        path for path in assets() if path.startswith(f"/static/{stem}.") and path.endswith(suffix)
    )


def _required_path(url: str) -> str:
    if own_path(url) is None:
        raise ValueError("a page was given an address that is no path of this server")
    return url


def _required_web_address(url: str) -> str:
    if _origin(url) is None:
        raise ValueError("a form to a client was given an address that is not http or https")
    return url


def _origin(url: str) -> str | None:
    """Return scheme, host and port of an http(s) address, None for anything else."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    origin = f"{parts.scheme}://{host}{port}"
    return origin if _CSP_SOURCE.fullmatch(origin) else None
