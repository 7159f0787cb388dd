"""Debian's Chromium, driven by Playwright: one browser, a fresh profile for each person."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from playwright.sync_api import Browser as PlaywrightBrowser
from playwright.sync_api import (
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Playwright,
    Request,
    Response,
    ViewportSize,
    expect,
    sync_playwright,
)

from tests.kit.servers.certificates import CertificateAuthority

ColorScheme = Literal["light", "dark"]
Device = Literal["desktop", "phone"]

_VIEWPORTS: dict[Device, ViewportSize] = {
    "desktop": {"width": 1280, "height": 800},
    "phone": {"width": 360, "height": 740},
}
_PATIENCE_MS = 30_000
_PACE_MS = 20
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something that a good page does not do.

    `console` is a warning or error in the console, `csp` a violation of the page's own policy,
    `script` an uncaught error, `dialog` an alert or the like (dismissed), `request` one that failed
    on the way, `status` an answer of 400 or more.
    """

    kind: Literal["console", "csp", "script", "dialog", "request", "status"]
    text: str


@dataclass(frozen=True, slots=True)
class Person:
    """One person at one device: a page, its cookies, and what was wrong so far."""

    page: Page
    screenshots: Path
    complaints: list[Complaint] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)

    def screenshot(self, name: str) -> Path:
        """Photograph the whole page, from top to bottom, as `name.png`."""
        self.screenshots.mkdir(parents=True, exist_ok=True)
        path = self.screenshots / f"{name}.png"
        self.page.screenshot(path=path, full_page=True, animations="disabled")
        return path

    def origins(self) -> set[str]:
        """Return the origins that were asked for anything: a good page loads only its own."""
        parts = [urlsplit(url) for url in self.requested]
        return {f"{part.scheme}://{part.netloc}" for part in parts}


class Browser:
    """A headless Chromium that trusts the machine's authorities and one of the test's.

    While it is open no `asyncio.run` works in the same thread (Playwright keeps a loop there): give
    a fixture the scope of a module, not of the session.
    """

    def __init__(self, executable: Path, *, ca: CertificateAuthority, screenshots: Path) -> None:
        """Nothing starts yet; `screenshots` is the directory for pictures."""
        self._executable = executable
        self._ca = ca
        self._screenshots = screenshots
        self._playwright: Playwright | None = None
        self._browser: PlaywrightBrowser | None = None

    def person(
        self,
        *,
        color_scheme: ColorScheme = "light",
        device: Device = "desktop",
        java_script_enabled: bool = True,
        locale: str = "en-GB",
    ) -> Person:
        """Return somebody with an empty profile, whose page is blank; gone with the browser."""
        if self._browser is None:
            raise RuntimeError("the browser is not open: use it in a `with` block")
        context = self._browser.new_context(
            color_scheme=color_scheme,
            viewport=_VIEWPORTS[device],
            device_scale_factor=2 if device == "phone" else 1,
            is_mobile=device == "phone",
            has_touch=device == "phone",
            java_script_enabled=java_script_enabled,
            locale=locale,
        )
        context.set_default_timeout(_PATIENCE_MS)
        person = Person(page=context.new_page(), screenshots=self._screenshots)
        _watch(context, person)
        return person

    def __enter__(self) -> Self:
        # Of no page here is promised how soon it comes; five seconds are Playwright's own idea.
        expect.set_options(timeout=_PATIENCE_MS)
        self._playwright = sync_playwright().start()
        try:
            self._browser = self._playwright.chromium.launch(
                executable_path=self._executable,
                headless=True,
                # The servers of `certificates` send their authority along, so one hash is enough
                # for every certificate that it issues. Others stay refused.
                args=[*_ARGUMENTS, f"--ignore-certificate-errors-spki-list={self._ca.spki_hash()}"],
                timeout=2 * _PATIENCE_MS,
            )
        except BaseException:
            self._playwright.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._browser is not None:
            self._browser.close()
        if self._playwright is not None:
            self._playwright.stop()


def wait_in(page: Page, is_so: Callable[[], bool]) -> None:
    """Return once it is so, while the browser goes on telling; raises TimeoutError after 30 s."""
    deadline = time.monotonic() + _PATIENCE_MS / 1000
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so in {page.url}")
        page.wait_for_timeout(_PACE_MS)


def _watch(context: BrowserContext, person: Person) -> None:
    """Have everything that happens in a profile written down, in popups too."""

    def complain(kind: Literal["script", "dialog", "request", "status"], text: str) -> None:
        person.complaints.append(Complaint(kind, text))

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("warning", "error") and not _is_status(message):
            is_csp = "Content Security Policy" in message.text
            person.complaints.append(Complaint("csp" if is_csp else "console", message.text))

    def on_dialog(dialog: Dialog) -> None:
        complain("dialog", f"{dialog.type}: {dialog.message}")
        dialog.dismiss()

    def on_response(response: Response) -> None:
        if response.status >= 400:
            complain("status", f"{response.status} {response.url}")

    def on_failed(request: Request) -> None:
        # Whoever goes on before the icon of a page has come has done nothing wrong.
        if request.failure == "net::ERR_ABORTED" and not request.is_navigation_request():
            return
        complain("request", f"{request.method} {request.url}: {request.failure}")

    context.on("console", on_console)
    context.on("dialog", on_dialog)
    context.on("response", on_response)
    context.on("requestfailed", on_failed)
    context.on("request", lambda request: person.requested.append(request.url))
    context.on("weberror", lambda error: complain("script", error.error.message))


def _is_status(message: ConsoleMessage) -> bool:
    """Tell Chromium's own note on an answer of 400 or more, which is a `status` already."""
    return message.text.startswith("Failed to load resource: the server responded with a status")
