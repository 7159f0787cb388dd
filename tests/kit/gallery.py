"""Every page with realistic and with extreme content, and a browser's view of it.

No server is needed: the browser's requests are answered from memory, with the real policy header.
`python -m tests.kit.gallery FOLDER` photographs all of them.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from playwright.sync_api import Browser, BrowserContext, Page, Route, sync_playwright

from idp.web.pages import (
    WRONG_CREDENTIALS,
    Branding,
    ClientFace,
    ConnectorChoice,
    Filled,
    Pages,
    assets,
    content_security_policy,
)
from idp.web.scope_words import scope_sentences
from tests.kit.account_faces import account_just_begun, account_of_jane, crowded_account
from tests.kit.install.binaries import find_binaries

ORIGIN = "http://idp.test"
FRAMED = "https://grafana.example.com/signed-out"
PHONE = {"width": 360, "height": 740}
DESK = {"width": 880, "height": 660}
LONG = "Platform-Engineering-and-Site-Reliability-Self-Service-Portal" * 4
ARABIC = "بوابة تسجيل الدخول للموظفين"
JAPANESE = "日本電信電話株式会社 認証基盤サービス"
MARKUP = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


def realistic() -> Mapping[str, str]:
    """Return the pages as people will see them on most days."""
    pages = Pages(Branding(name="Example Clusters"))
    scopes = ["openid", "profile", "email", "groups", "offline_access"]
    return MappingProxyType(
        {
            "login": pages.login(
                connector_name="Example directory",
                username_prompt="User name",
                client=ClientFace(name="kubectl"),
                action="/auth/ldap",
                state="s",
                back_url="/auth",
            ),
            "login-failed": pages.login(
                connector_name="Example directory",
                username_prompt="Email address",
                filled=Filled(username="jane.doe@example.com", remember=True),
                error=WRONG_CREDENTIALS,
                client=ClientFace(
                    name="Argo CD",
                    tos_url="https://argocd.example.com/terms",
                    policy_url="https://argocd.example.com/privacy",
                ),
                action="/auth/ldap",
                state="s",
            ),
            "chooser": pages.chooser(
                client_name="Grafana",
                connectors=[
                    _choice("ldap", "Example directory"),
                    _choice("oidc", "Partner organisation"),
                    _choice("local", "Emergency account"),
                ],
            ),
            "approval": pages.approval(
                username="jane.doe@example.com",
                client=ClientFace(
                    name="Headlamp",
                    tos_url="https://headlamp.example.com/terms",
                    policy_url="https://headlamp.example.com/privacy",
                ),
                scopes=scope_sentences(scopes, ["kubernetes"]),
                action="/approval",
                state="s",
            ),
            "select-account": pages.select_account(
                client_name="Grafana",
                username="Jane Doe",
                email="jane.doe@example.com",
                action="/select",
                state="s",
            ),
            "logout": pages.logout(
                username="jane.doe@example.com",
                client_name="Grafana",
                action="/logout/confirm",
                account_url="/account",
                state="s",
            ),
            "signed-out": pages.signed_out(account_url="/account"),
            "signed-out-everywhere": pages.signed_out(account_url="/account", reach="everywhere"),
            "signed-out-going-on": pages.signed_out(
                account_url="/account",
                continue_url="https://grafana.example.com/",
                client_name="Grafana",
                frames=[FRAMED],
            ),
            "still-signed-in": pages.still_signed_in(
                username="jane.doe@example.com", account_url="/account"
            ),
            "account": pages.account(
                account_of_jane(), action="/account", state="s", note="That is signed out now."
            ),
            "account-alone": pages.account(
                account_just_begun(), action="/account", state="s", note=""
            ),
            "error": pages.error(
                status=400,
                title="This sign-in has expired",
                message="The page was open for more than 30 minutes, so nothing was sent.",
                hint="Go back to the application and sign in again.",
                request_id="0199f3c2b7a87c1e",
            ),
            "out-of-band": pages.out_of_band(
                code="b3x7kq2m5n8p4r6t9v1w.0.Zk3qv8XW4nB7mR2tY6uJ5hL9"
            ),
            "form-post": pages.form_post(
                action="https://app.example.com/callback",
                members={"code": "b3x7kq2m5n8p4r6t9v1w.0.Zk3q", "state": "s"},
            ),
            "home": pages.home(
                issuer="https://login.example.com",
                discovery_url="https://login.example.com/.well-known/openid-configuration",
                account_url="https://login.example.com/account",
            ),
        }
    )


def extreme() -> Mapping[str, str]:
    """Return the pages with names too long, right to left, of other scripts, and hostile."""
    pages = Pages(Branding(name=f"{LONG} {ARABIC}"))
    names = [LONG, ARABIC, JAPANESE, MARKUP]
    return MappingProxyType(
        {
            "extreme-login": pages.login(
                connector_name=f"{ARABIC} {LONG}",
                username_prompt=f"{ARABIC} / {JAPANESE}",
                filled=Filled(username=LONG, remember=False),
                error=f"{WRONG_CREDENTIALS} {MARKUP} {LONG}",
                client=ClientFace(
                    name=f"{LONG} {MARKUP}", logo_url=MARKUP, tos_url=MARKUP, policy_url=MARKUP
                ),
                action="/auth/ldap",
                state=MARKUP,
                back_url="/auth",
            ),
            "extreme-chooser": pages.chooser(
                client_name=ARABIC, connectors=[_choice("ldap", name) for name in names * 2]
            ),
            "extreme-approval": pages.approval(
                username=ARABIC,
                client=ClientFace(
                    name=f"{JAPANESE} {LONG}", logo_url=MARKUP, tos_url=MARKUP, policy_url=MARKUP
                ),
                scopes=scope_sentences(
                    ["openid", "groups", "address", LONG, MARKUP],
                    names,
                    ["phone_number", "family_name", "updated_at", "department", LONG[:128]],
                ),
                action="/approval",
                state=MARKUP,
            ),
            "extreme-select-account": pages.select_account(
                client_name=LONG, username=LONG[:200], email=ARABIC, action="/select", state=MARKUP
            ),
            "extreme-logout": pages.logout(
                username=LONG[:200],
                client_name=MARKUP,
                action="/logout/confirm",
                account_url="/account",
                state=MARKUP,
            ),
            "extreme-signed-out": pages.signed_out(
                account_url="/account", continue_url=f"https://{LONG}/", client_name=ARABIC
            ),
            "extreme-account": pages.account(
                crowded_account([LONG[:200], ARABIC, JAPANESE, MARKUP]),
                action="/account",
                state=MARKUP,
                note="",
            ),
            "extreme-error": pages.error(
                status=502,
                title=f"{ARABIC} {MARKUP}",
                message=LONG,
                hint=JAPANESE,
                request_id=LONG,
            ),
            "extreme-out-of-band": pages.out_of_band(code=LONG * 2),
            "extreme-form-post": pages.form_post(
                action=f"https://app.example.com/{LONG}", members={"state": MARKUP, MARKUP: LONG}
            ),
            "extreme-home": pages.home(issuer=f"https://{LONG}/", discovery_url=f"https://{LONG}/"),
        }
    )


def open_page(context: BrowserContext, html: str) -> Page:
    """Open one page as the provider would serve it, with its policy and its assets."""
    frames = (FRAMED,) if "<iframe" in html else ()
    policy = content_security_policy(Branding(), form_action=("'self'",), frames=frames)

    def answer(route: Route) -> None:
        path = route.request.url.removeprefix(ORIGIN)
        asset = assets().get(path)
        if asset is not None:
            route.fulfill(body=asset.body, content_type=asset.content_type)
        elif path == "/page":
            route.fulfill(
                body=html,
                content_type="text/html; charset=utf-8",
                headers={"Content-Security-Policy": policy},
            )
        elif path.startswith("https://"):
            # Who goes on by themselves stays here: an answer without content leads nowhere.
            route.fulfill(status=204)
        else:
            route.abort()

    page = context.new_page()
    page.route("**/*", answer)
    page.goto(f"{ORIGIN}/page")
    return page


def browser_context(
    browser: Browser, *, scheme: str = "light", size: Mapping[str, int] = MappingProxyType(DESK)
) -> BrowserContext:
    """Return a fresh context with a colour scheme ("light" or "dark") and a window size."""
    return browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": size["width"], "height": size["height"]},
        reduced_motion="reduce",
    )


def photograph(folder: Path, browser: Browser) -> None:
    """Write `NAME-light.png`, `NAME-dark.png` and `NAME-phone.png` of every page."""
    looks = {"light": ("light", DESK), "dark": ("dark", DESK), "phone": ("light", PHONE)}
    for look, (scheme, size) in looks.items():
        with browser_context(browser, scheme=scheme, size=size) as context:
            for name, html in {**realistic(), **extreme()}.items():
                page = open_page(context, html)
                page.screenshot(path=folder / f"{name}-{look}.png", full_page=True)
                page.close()


def _choice(kind: str, name: str) -> ConnectorChoice:
    return ConnectorChoice(id=kind, name=name, type=kind, url=f"/auth/{kind}")


if __name__ == "__main__":
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_binaries().chromium)
        photograph(Path(sys.argv[1]), chromium)
        chromium.close()
