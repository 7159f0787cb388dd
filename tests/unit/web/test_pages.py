"""The pages as text: nothing that is put in becomes markup, and every promise to a reader holds."""

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.oauth.claim_names import STANDARD
from idp.web.account_face import AccountFace, Line, SessionEntry
from idp.web.pages import (
    WRONG_CREDENTIALS,
    Branding,
    ClientFace,
    ConnectorChoice,
    Filled,
    Pages,
    Theme,
    assets,
    content_security_policy,
    own_path,
)
from idp.web.scope_words import scope_sentences

PAYLOADS = [
    "<script>alert(1)</script>",
    '"><script>alert(1)</script>',
    "'><img src=x onerror=alert(1)>",
    "</title><svg onload=alert(1)>",
    "</textarea><script>alert(1)</script>",
    '" onfocus=alert(1) autofocus x="',
    "' style='background:url(//evil.example)",
    "<!--",
    "]]><x>",
    "{{ 7*7 }}{% for x in y %}${7*7}#{7*7}",
    "&lt;script&gt;&#60;&quot;",
    "javascript:alert(1)",
    "\u202e\u2066<b>\u2069 بوابة",
    "日本電信電話\x00\r\n\tX: y",
    "x" * 5000,
]
OFFSITE = [
    "",
    "//evil.example",
    "/\\evil.example",
    "/\t/evil.example",
    "/a\\b",
    "https:evil.example",
    "https://evil.example/",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil",
    "/x\r\nSet-Cookie: a=b",
    " /x",
    "/x y",
]
PAGES = Pages(Branding())
Render = Callable[[str], str]


def login(value: str) -> str:
    return PAGES.login(
        connector_name=value,
        username_prompt=value,
        filled=Filled(username=value, remember=True),
        action="/auth/local",
        state=value,
        error=value,
        client=ClientFace(name=value, logo_url=value, tos_url=value, policy_url=value),
        back_url=value,
    )


def chooser(value: str) -> str:
    choice = ConnectorChoice(id=value, name=value, type=value, url="/auth/x")
    return PAGES.chooser(client_name=value, connectors=[choice, choice])


def approval(value: str) -> str:
    return PAGES.approval(
        username=value,
        client=ClientFace(name=value, logo_url=value, tos_url=value, policy_url=value),
        scopes=scope_sentences([value], [value], [value]),
        action="/approval",
        state=value,
    )


def error(value: str) -> str:
    return PAGES.error(status=400, title=value, message=value, hint=value, request_id=value)


def out_of_band(value: str) -> str:
    return PAGES.out_of_band(code=value)


def logout(value: str) -> str:
    return PAGES.logout(
        username=value, client_name=value, action="/x", account_url="/account", state=value
    )


def signed_out(value: str) -> str:
    return PAGES.signed_out(account_url="/account", continue_url="/x", client_name=value)


def still_signed_in(value: str) -> str:
    return PAGES.still_signed_in(username=value, account_url="/account")


def select_account(value: str) -> str:
    # Whoever has no name is shown by the email alone.
    return PAGES.select_account(
        client_name=value, username=value, email=f"to {value}", action="/select", state=value
    )


def account(value: str) -> str:
    line = Line(value=value, title=value, facts=(value, value), got=(value,))
    face = AccountFace(
        username=value,
        email=value,
        connector=value,
        sessions=(SessionEntry(line=line, is_this=True, logins=(line,)),) * 2,
        logins=(line,),
        consents=(line,),
        number=2,
        pages=3,
        is_whole=False,
    )
    return PAGES.account(face, action="/account", state=value, note=value)


def home(value: str) -> str:
    return Pages(Branding(name=value)).home(issuer=value, discovery_url="/.well-known/x")


EVERY_PAGE: list[Render] = [
    login,
    chooser,
    approval,
    logout,
    signed_out,
    still_signed_in,
    select_account,
    account,
    error,
    out_of_band,
    home,
]


class Skeleton(HTMLParser):
    """The elements and attribute names of a page, and the text that a reader gets."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.comments = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.comments += 1

    @property
    def title(self) -> str:
        return self.text.strip().splitlines()[0]

    def values(self, attribute: str) -> list[str]:
        return [value for name, value in self.attributes if name == attribute]


@pytest.mark.covers("R-60")
@pytest.mark.parametrize("render", EVERY_PAGE)
@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_in_every_argument_stays_text(render: Render, payload: str) -> None:
    page, plain = Skeleton(render(payload)), Skeleton(render("plain"))
    assert page.elements == plain.elements
    assert page.comments == 0
    assert _shown(payload) in _shown(page.text)


@pytest.fixture(scope="module")
def plain_pages() -> list[tuple[Render, Skeleton]]:
    return [(render, Skeleton(render("plain"))) for render in EVERY_PAGE]


@pytest.mark.servers
@pytest.mark.covers("R-60")
@given(value=st.text(min_size=1))
def test_any_text_in_every_argument_leaves_the_elements_alone(
    plain_pages: list[tuple[Render, Skeleton]], value: str
) -> None:
    for render, plain in plain_pages:
        page = Skeleton(render(value))
        # A path of our own in `value` makes the login page show its link back.
        if own_path(value) is None:
            assert page.elements == plain.elements


@pytest.mark.covers("R-56")
@pytest.mark.parametrize("render", EVERY_PAGE)
def test_no_page_has_script_style_or_event_attributes(render: Render) -> None:
    page = Skeleton(render("plain"))
    assert not {"script", "style", "iframe", "object", "base"} & {tag for tag, _ in page.elements}
    names = {name for name, _ in page.attributes}
    assert "style" not in names
    assert not [name for name in names if name.startswith("on")]


@pytest.mark.parametrize("render", EVERY_PAGE)
def test_every_page_has_language_title_viewport_one_heading_and_landmarks(render: Render) -> None:
    html = render("plain")
    page = Skeleton(html)
    tags = [tag for tag, _ in page.elements]
    assert page.values("lang") == ["en"]
    assert "width=device-width, initial-scale=1" in page.values("content")
    assert [tags.count(tag) for tag in ("h1", "main", "header", "title")] == [1, 1, 1, 1]
    assert all("alt" in names for tag, names in page.elements if tag == "img")
    assert page.title.endswith("· kube-idp") or render is home
    assert html.startswith("<!doctype html>")


@pytest.mark.parametrize("render", EVERY_PAGE)
def test_every_page_refers_only_to_assets_that_exist(render: Render) -> None:
    page = Skeleton(render("plain"))
    local = [path for path in page.values("href") + page.values("src") if "/static/" in path]
    assert len(local) == 3
    assert set(local) <= set(assets())


def test_login_form_posts_the_names_that_clients_of_dex_know() -> None:
    page = Skeleton(
        PAGES.login(
            connector_name="LDAP",
            username_prompt="Email",
            action="/auth/ldap?back=%2Fauth",
            state="sealed",
        )
    )
    assert page.values("action") == ["/auth/ldap?back=%2Fauth"]
    assert page.values("method") == ["post"]
    assert page.values("autocomplete") == ["username", "current-password"]
    assert [name for name in page.values("name") if name in ("login", "password", "state")] == [
        "state",
        "login",
        "password",
    ]
    assert page.values("for") == ["login", "password"]
    assert "sealed" in page.values("value")


def test_failed_login_keeps_the_name_and_says_so_to_screen_readers() -> None:
    page = Skeleton(
        PAGES.login(
            connector_name="LDAP",
            username_prompt="Email",
            filled=Filled(username="jane"),
            action="/auth/ldap",
            state="s",
            error=WRONG_CREDENTIALS,
        )
    )
    assert page.title.startswith("Error: ")
    assert page.values("role") == ["alert"]
    assert page.values("aria-describedby") == ["error", "error"]
    assert page.values("aria-invalid") == ["true", "true"]
    assert "jane" in page.values("value")
    focused = [names for _, names in page.elements if "autofocus" in names]
    assert len(focused) == 1
    assert WRONG_CREDENTIALS in page.text


@pytest.mark.covers("R-61")
@pytest.mark.parametrize("url", OFFSITE)
def test_link_back_to_anywhere_else_is_dropped(url: str) -> None:
    html = PAGES.login(
        connector_name="L", username_prompt="N", action="/a", state="s", back_url=url
    )
    assert "another way" not in html
    assert all("static" in path for path in Skeleton(html).values("href"))


@pytest.mark.covers("R-61", "R-62")
@pytest.mark.parametrize("url", OFFSITE)
def test_forms_and_choices_never_point_elsewhere(url: str) -> None:
    with pytest.raises(ValueError, match="no path of this server"):
        PAGES.login(connector_name="L", username_prompt="N", action=url, state="s")
    with pytest.raises(ValueError, match="no path of this server"):
        PAGES.approval(username="u", client=ClientFace(name="c"), scopes=[], action=url, state="s")
    choice = ConnectorChoice(id="x", name="x", type="oidc", url=url)
    with pytest.raises(ValueError, match="no path of this server"):
        PAGES.chooser(client_name=None, connectors=[choice])


@pytest.mark.parametrize("url", ["/", "/auth?client_id=a&state=%0a", "/dex/auth/日本"])
def test_paths_of_our_own_are_kept(url: str) -> None:
    assert own_path(url) == url
    html = PAGES.login(
        connector_name="L", username_prompt="N", action="/a", state="s", back_url=url
    )
    assert url in Skeleton(html).values("href")


def test_approval_names_person_client_and_what_it_gets_and_has_both_answers() -> None:
    sentences = scope_sentences(["openid", "groups", "offline_access"], ["argo-cd"])
    page = Skeleton(
        PAGES.approval(
            username="jane",
            client=ClientFace(name="Headlamp"),
            scopes=sentences,
            action="/approval",
            state="s",
        )
    )
    assert [value for value in page.values("value") if value != "s"] == [
        "approve",
        "reject",
        "switch",
    ]
    assert page.values("name").count("approval") == 3
    for text in ["jane", "Headlamp", *sentences]:
        assert text in page.text


def test_scopes_are_told_in_words_once_and_in_order() -> None:
    sentences = scope_sentences(
        ["openid", "email", "openid", "audience:server:client_id:argo", "strange"],
        ["argo", "argo"],
    )
    assert sentences == [
        "Know that it is you",
        "See your email address",
        "Use the permission \u2068strange\u2069",
        "Act for you at \u2068argo\u2069",
    ]


def test_claims_are_told_in_words_unless_a_scope_brings_them_along() -> None:
    claims = ["phone_number", "email", "email_verified", "family_name", "groups", "department"]
    assert scope_sentences(["openid", "email"], ["argo"], claims) == [
        "Know that it is you",
        "See your email address",
        "See your \u2068department\u2069",
        "See your family name",
        "See the groups that you belong to",
        "See your phone number",
        "Act for you at \u2068argo\u2069",
    ]
    assert scope_sentences(["profile"], (), ["department", "birthdate", "picture"]) == [
        "See your name, user name and the rest of your profile"
    ]


@pytest.mark.spec("OIDC Core", "5.5")
@pytest.mark.parametrize("claim", [*STANDARD, "groups", "federated_claims"])
def test_every_claim_that_can_be_asked_for_has_words(claim: str) -> None:
    (sentence,) = scope_sentences((), (), [claim])
    assert sentence.startswith("See ")
    assert "_" not in sentence


@pytest.mark.covers("R-65")
def test_error_page_shows_what_it_is_given_and_nothing_else() -> None:
    page = Skeleton(
        PAGES.error(
            status=503,
            title="Please try again",
            message="The directory does not answer.",
            hint="Wait a minute.",
            request_id="abc123",
        )
    )
    words = " ".join(page.text.split())
    assert words == (
        "Error: Please try again · kube-idp kube-idp Please try again The directory does not "
        "answer. Wait a minute. Error 503 Request abc123"
    )
    assert [tag for tag, _ in page.elements if tag in ("a", "form")] == []


def test_chooser_keeps_the_order_and_explains_an_empty_list() -> None:
    names = ["Zebra", "Ant", "日本"]
    choices = [ConnectorChoice(id=n, name=n, type="ldap", url="/auth/x") for n in names]
    text = Skeleton(PAGES.chooser(client_name="c", connectors=choices)).text
    assert sorted(names, key=text.index) == names
    assert "ask your administrator" in PAGES.chooser(client_name=None, connectors=[])


def test_branding_reaches_every_page() -> None:
    pages = Pages(
        Branding(
            name="Acme & Söhne",
            base_path="/dex",
            logo_url="https://cdn.example/l.png",
            theme="dark",
        )
    )
    page = Skeleton(pages.out_of_band(code="c"))
    assert page.values("data-theme") == ["dark"]
    assert "https://cdn.example/l.png" in page.values("src")
    assert "Acme & Söhne" in page.text
    assert all(p.startswith("/dex/static/") for p in page.values("href"))


@pytest.mark.parametrize(
    "arguments",
    [
        {"theme": "pink"},
        {"base_path": "dex"},
        {"base_path": "/dex/"},
        {"base_path": "//evil.example"},
        {"logo_url": "javascript:alert(1)"},
        {"logo_url": "//evil.example/x.png"},
        {"logo_url": "https://user@evil.example/x.png"},
        {"logo_url": "https://a;script-src *"},
        {"logo_url": "https://[broken"},
        {"logo_url": ""},
    ],
)
def test_branding_that_cannot_work_is_refused_by_name(arguments: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Branding(**arguments)  # type: ignore[arg-type]


@pytest.mark.covers("R-55", "R-56")
def test_policy_forbids_script_and_framing_and_allows_the_logo() -> None:
    policy = content_security_policy(
        Branding(logo_url="https://cdn.example:8443/l.png"),
        form_action=("'self'", "https://app.example", "com.example.app:"),
    )
    assert policy == (
        "default-src 'none'; style-src 'self'; img-src 'self' https://cdn.example:8443; "
        "form-action 'self' https://app.example com.example.app:; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    assert "form-action 'none'" in content_security_policy(Branding(), form_action=())


@pytest.mark.covers("R-63")
@pytest.mark.parametrize("source", ["a; script-src *", "a b", "a,b", "a\r\nX: y", "", "ä"])
def test_policy_refuses_a_source_that_would_add_a_directive(source: str) -> None:
    with pytest.raises(ValueError, match="Content-Security-Policy"):
        content_security_policy(Branding(), form_action=(source,))


def test_assets_are_typed_and_named_by_their_content() -> None:
    paths = sorted(assets())
    assert [re.sub(r"\.[0-9a-f]{12}\.", ".", path) for path in paths] == [
        "/static/main.css",
        "/static/mark.svg",
    ]
    assert assets()[paths[0]].content_type == "text/css; charset=utf-8"
    assert assets()[paths[1]].body.startswith(b"<svg")


@pytest.mark.covers("R-56")
def test_assets_load_nothing_from_elsewhere() -> None:
    for asset in assets().values():
        text = asset.body.decode().replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert "http" not in text
        assert "url(" not in text
        assert "@import" not in text
        assert "<script" not in text


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_reach_wcag_aa(theme: Theme) -> None:
    colour = _palette(theme)
    text = [
        ("text", "card"),
        ("text", "page"),
        ("text", "glow"),
        ("text", "hover"),
        ("quiet", "card"),
        ("quiet", "hover"),
        ("accent", "card"),
        ("accent-strong", "card"),
        ("on-accent", "accent"),
        ("on-accent", "accent-strong"),
        ("alert", "alert-back"),
    ]
    for front, back in text:
        assert _contrast(colour[front], colour[back]) >= 4.5, (front, back)
    for front, back in [("field", "card"), ("accent", "card"), ("alert-line", "card")]:
        assert _contrast(colour[front], colour[back]) >= 3, (front, back)


def test_forced_dark_and_preferred_dark_are_the_same_colours() -> None:
    assert _palette("dark") == _palette("auto")


def _palette(theme: Theme) -> dict[str, str]:
    css = next(asset.body.decode() for path, asset in assets().items() if path.endswith(".css"))
    selector = ":root {" if theme == "light" else f':root[data-theme="{theme}"] {{'
    block = css.split(selector, 1)[1].split("}", 1)[0]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


def _contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours (WCAG 2.2, 1.4.3)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])


def _shown(text: str) -> str:
    """Return text as HTML gives it back: a parser drops NUL and treats line ends alike."""
    return "".join(text.split()).replace("\x00", "").replace("\ufffd", "")
