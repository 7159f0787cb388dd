"""Whatever a stranger puts into a page is text there: the HTML is parsed, not searched."""

from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.provider import (
    CALLBACK,
    PASSWORD_HASH,
    ProviderUnderTest,
    answer_of,
    authorization_parameters,
    base_config,
    login_page,
    provider_under_test,
)
from tests.kit.sizes import examples

PAYLOADS = (
    "<script>alert(1)</script>",
    '"><script>alert(1)</script>',
    "'><img src=x onerror=alert(1)>",
    '" onfocus="alert(1)" autofocus="',
    "' onmouseover='alert(1)",
    "</title><script>alert(1)</script>",
    "</textarea><svg/onload=alert(1)>",
    "</bdi></b></p><iframe src=javascript:alert(1)>",
    "<!--",
    "-->",
    "<![CDATA[",
    "&lt;script&gt;",
    "&quot;&#x22;&#0;",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "{{7*7}}",
    "{% raw %}{{ config }}",
    "${7*7}#{7*7}<%= 7*7 %>",
    "\u202e\u2066rtl",
    "\ufeff<script\u200b>",
    "<\x00script>",
    "\x1b[31mred",
    "＜script＞alert(1)＜/script＞",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<form action=//evil.example>",
    '"><input name=state value=x>',
)
EACH = pytest.mark.parametrize("payload", PAYLOADS)


class Outline(HTMLParser):
    """What a page consists of: its tags with the names of their attributes, and all values."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.shape: list[str] = []
        self.values: list[str] = []
        self.links: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.shape.append(" ".join((tag, *(name for name, _ in attrs))))
        self.values += [value or "" for _, value in attrs]
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action")]

    def handle_endtag(self, tag: str) -> None:
        self.shape.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.values.append(data.strip())

    def handle_comment(self, data: str) -> None:
        self.shape.append("comment")

    def handle_decl(self, decl: str) -> None:
        self.shape.append(decl)

    def unknown_decl(self, data: str) -> None:
        self.shape.append("unknown")

    def handle_pi(self, data: str) -> None:
        self.shape.append("instruction")


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderUnderTest]:
    with provider_under_test() as provider:
        yield provider


def as_shown(text: str) -> str:
    """Return text as an HTML parser gives it back: line ends are one sort (HTML 13.2.3.5)."""
    return text.replace("\0", "\ufffd")


@EACH
@pytest.mark.covers("R-60", "CV-18")
def test_a_login_hint_is_text(provider: ProviderUnderTest, payload: str) -> None:
    plain = Outline(provider.authorize({"login_hint": "alice"}).text)
    found = Outline(provider.authorize({"login_hint": payload}).text)
    assert found.shape == plain.shape
    assert payload in found.values or as_shown(payload) in found.values
    assert found.links == plain.links


@EACH
@pytest.mark.covers("R-60", "CV-18")
def test_a_typed_name_is_text(provider: ProviderUnderTest, payload: str) -> None:
    def again(username: str) -> Outline:
        browser = provider.new_browser(f"2001:db8:{PAYLOADS.index(payload):x}::1")
        response = provider.sign_in(username=username, password="wrong", browser=browser)
        assert response.status_code == 401
        return Outline(response.text)

    plain, found = again(f"bob{PAYLOADS.index(payload)}"), again(payload)
    assert found.shape == plain.shape
    assert payload in found.values or as_shown(payload) in found.values


@EACH
@pytest.mark.covers("R-60", "R-61", "CV-18", "CV-19")
def test_the_links_of_the_chooser_carry_anything_to_our_own_pages_only(
    provider: ProviderUnderTest, payload: str
) -> None:
    plain = Outline(provider.authorize({"prompt": "select_account"}).text)
    for name in ("state", "nonce", "login_hint", "back", "next", "<x>", payload):
        fields = {**authorization_parameters({"prompt": "select_account"}), name: payload}
        found = Outline(provider.browser.get(f"/auth?{urlencode(fields)}").text)
        assert found.shape == plain.shape
        (link,) = [link for link in found.links if link.startswith("/auth")]
        parts = urlsplit(link)
        assert (parts.scheme, parts.netloc, parts.path) == ("", "", "/auth/local")
        assert dict(parse_qsl(parts.query, keep_blank_values=True)) == fields
        assert all(each.startswith("/") and not each.startswith("//") for each in found.links)


@EACH
@pytest.mark.covers("R-60", "R-65", "CV-18")
def test_an_error_page_says_nothing_of_what_was_sent(
    provider: ProviderUnderTest, payload: str
) -> None:
    plain = Outline(provider.authorize({"client_id": "ghost"}).text)
    for name in ("client_id", "redirect_uri"):
        response = provider.authorize({name: payload, "state": payload, "scope": payload})
        found = Outline(response.text)
        assert response.status_code == 400
        assert found.shape == plain.shape
        assert not [value for value in found.values if payload in value]
    for path in (f"/auth?req={urlencode({'': payload})[1:]}", f"/{urlencode({'': payload})[1:]}"):
        response = provider.browser.get(path)
        assert response.status_code in (400, 404)
        assert Outline(response.text).shape == plain.shape


@EACH
@pytest.mark.covers("R-60", "R-13", "R-63")
@pytest.mark.spec("RFC 6749", "10.14")
def test_what_a_client_is_told_is_encoded(provider: ProviderUnderTest, payload: str) -> None:
    for fields in (
        {"prompt": payload}, {"scope": f"audience:server:client_id:{payload}"},
        {payload: "1", "prompt": "none"}, {"response_type": payload}, {"max_age": payload},
    ):  # fmt: skip
        response = provider.authorize({"state": payload, **fields})
        location = response.headers["location"]
        assert location.startswith(f"{CALLBACK}?error=")
        assert not set(location) & set("<>\"'\\{}\r\n\0 ")
        assert answer_of(response)["state"] == payload


@pytest.mark.covers("R-60", "CV-18")
def test_names_of_the_configuration_are_text_on_every_page() -> None:
    payload = '"></bdi><script>alert(1)</script>{{7*7}}'
    shapes = []
    for name in ("Plain", payload):
        config = base_config()
        config["oauth2"]["skipApprovalScreen"] = False
        config["frontend"] = {"issuer": name}
        for client in config["staticClients"]:
            client["name"] = name
        config["staticPasswords"] = [
            {"email": "alice@example.com", "hash": PASSWORD_HASH, "userID": "1",
             "preferredUsername": name, "name": name, "groups": [name]}
        ]  # fmt: skip
        with provider_under_test(config) as provider:
            scope = "openid groups audience:server:client_id:other"
            pages = [
                provider.authorize(),
                provider.authorize({"prompt": "select_account"}),
                provider.sign_in({"scope": scope}),
                provider.sign_in(password="wrong"),
                provider.browser.get("/nothing"),
                provider.browser.get("/"),
            ]
        outlines = [Outline(page.text) for page in pages]
        for outline in outlines:
            assert any(name in value for value in outline.values)
        shapes.append([outline.shape for outline in outlines])
    assert shapes[0] == shapes[1]


@pytest.mark.covers("R-61", "CV-19")
@pytest.mark.parametrize("name", ["back", "return", "return_to", "next", "url", "continue", "rd"])
def test_no_parameter_becomes_a_link_back(provider: ProviderUnderTest, name: str) -> None:
    plain = Outline(provider.authorize().text).links
    for target in ("//evil.example", "/\\evil.example", "https:evil.example", "\t//evil.example",
                   "https://evil.example/", "javascript:alert(1)", "/home"):  # fmt: skip
        page = provider.browser.get(
            f"/auth?{urlencode({**authorization_parameters({}), name: target})}"
        )
        assert Outline(page.text).links == plain
        wrong = provider.browser.post(
            f"/auth/local/login?{urlencode({name: target})}", data={"state": "x", name: target}
        )
        assert "evil" not in wrong.text


@pytest.mark.covers("R-60", "CV-18", "CV-36")
@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text_leaves_the_page_in_its_shape(provider: ProviderUnderTest, text: str) -> None:
    plain = Outline(provider.authorize({"login_hint": "alice"}).text).shape
    response = provider.authorize({"login_hint": f"a{text}", "state": text, "nonce": text})
    assert Outline(response.text).shape == plain
    assert login_page(response).action == "/auth/local/login"
