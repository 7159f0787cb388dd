"""One host, one set of paths, one meaning for each: no header and no spelling changes an answer."""

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.kit.provider import (
    ALICE,
    ISSUER,
    ProviderUnderTest,
    authorization_parameters,
    base_config,
    login_page,
    provider_under_test,
)

SPOOFED: tuple[dict[str, str], ...] = (
    {"x-forwarded-host": "evil.example"},
    {"x-forwarded-proto": "http"},
    {"x-forwarded-port": "8080"},
    {"x-forwarded-prefix": "/evil"},
    {"x-forwarded-for": "127.0.0.1"},
    {"x-forwarded-uri": "/healthz"},
    {"forwarded": "for=127.0.0.1;host=evil.example;proto=http"},
    {"x-original-url": "/healthz"},
    {"x-rewrite-url": "/healthz"},
    {"x-http-method-override": "DELETE"},
    {"x-real-ip": "127.0.0.1"},
    {"x-host": "evil.example"},
    {"x_forwarded_host": "evil.example"},
    {"x-script-name": "/evil"},
    {"script_name": "/evil"},
    {"x-request-id": "forged"},
    {"cf-connecting-ip": "127.0.0.1"},
)


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderUnderTest]:
    config = base_config()
    config["web"]["allowedHosts"] = ["login.internal", "login.internal:8443"]
    with provider_under_test(config) as provider:
        yield provider


def settled(response: httpx.Response) -> tuple[int, str, list[tuple[str, str]]]:
    """Return an answer without what differs from one time to the next."""

    def plain(text: str) -> str:
        text = re.sub(r"(name=\"state\" value=\")[^\"]+|(req=)[A-Za-z0-9_-]+", r"\1\2…", text)
        text = re.sub(r"<code>[0-9a-f]{16}</code>", "", text)
        return re.sub(r"(__Host-idp-browser-\w+=)[^;]+", r"\1…", text)

    headers = [
        (name, plain(value))
        for name, value in response.headers.multi_items()
        if name not in ("x-request-id", "content-length")
    ]
    return response.status_code, plain(response.text), headers


@pytest.mark.covers("R-85", "CV-20")
@pytest.mark.parametrize("headers", SPOOFED, ids=lambda headers: next(iter(headers)))
def test_no_header_changes_any_answer(provider: ProviderUnderTest, headers: dict[str, str]) -> None:
    fields = authorization_parameters({})
    for method, path, options in (
        ("GET", "/auth", {"params": fields}),
        ("GET", "/auth", {"params": {**fields, "prompt": "none"}}),
        ("GET", "/auth", {"params": {**fields, "prompt": "select_account"}}),
        ("POST", "/auth", {"data": fields}),
        ("GET", "/auth", {}),
        ("GET", "/", {}),
        ("GET", "/nothing", {}),
        ("GET", "/.well-known/openid-configuration", {}),
    ):
        plain = provider.new_browser().request(method, path, **options)
        spoofed = provider.new_browser().request(method, path, headers=headers, **options)
        assert settled(spoofed) == settled(plain)
        # In what is settled no random text can spell it.
        assert "evil" not in str(settled(spoofed))
        assert spoofed.headers.get("x-request-id") != "forged"


@pytest.mark.covers("R-85", "R-73", "CV-20")
@pytest.mark.parametrize(
    ("name", "address"),
    [("x-forwarded-for", "203.0.113.1"), ("forwarded", "203.0.113.2"),
     ("x-real-ip", "203.0.113.3"), ("x_forwarded_for", "203.0.113.4")],
)  # fmt: skip
def test_no_header_hides_where_guesses_come_from(
    provider: ProviderUnderTest, name: str, address: str
) -> None:
    browser = provider.new_browser(address)
    page = login_page(provider.authorize(browser=browser))
    statuses = []
    for number in range(25):
        form = {"login": f"user{number}", "password": "x", "state": page.state}
        spoofed = {name: f"198.51.100.{number}"}
        statuses.append(browser.post(page.action, data=form, headers=spoofed).status_code)
    assert statuses[-5:] == [429] * 5


@pytest.mark.covers("R-85", "CV-20")
@pytest.mark.parametrize(
    "host",
    ["evil.example", "idp.example.com.evil.example", "evil-idp.example.com", "idp.example.com:8443",
     "idp.example.com:80", "idp.example.com:443443", "example.com", "localhost", "127.0.0.1", "",
     "idp.example.com,evil.example", "idp.example.com evil.example", "idp.example.com/",
     "idp.example.com@evil.example", "user@idp.example.com", "login.internal:1", "[::1]", ".",
     "idp.example.com.", "idp.example.com#", "idp_example_com", "*", "\u0130dp.example.com"],
)  # fmt: skip
def test_an_unknown_host_gets_nothing(provider: ProviderUnderTest, host: str) -> None:
    headers = [("host", host.encode("utf-8").decode("latin-1"))]
    for method, path in (("GET", "/auth"), ("POST", "/token"), ("GET", "/"), ("GET", "/userinfo"),
                         ("POST", "/auth/local/login"), ("GET", "/nothing")):  # fmt: skip
        response = provider.browser.request(
            method, path, headers=[(name, value.encode("latin-1")) for name, value in headers]
        )
        assert response.status_code in (400, 421)
        assert "location" not in response.headers
        assert "set-cookie" not in response.headers
        assert "evil" not in response.text


@pytest.mark.covers("R-85")
@pytest.mark.parametrize(
    "host", ["idp.example.com", "IDP.Example.COM", "login.internal", "login.internal:8443"]
)
def test_a_known_host_gets_the_same_whatever_its_name(
    provider: ProviderUnderTest, host: str
) -> None:
    fields = authorization_parameters({})
    plain = provider.new_browser().get("/auth", params=fields)
    named = provider.new_browser().get("/auth", params=fields, headers={"host": host})
    assert settled(named) == settled(plain)


@pytest.mark.covers("R-85")
@pytest.mark.parametrize("path", ["/healthz", "/keys", "/.well-known/openid-configuration"])
def test_health_keys_and_discovery_answer_under_any_name(
    provider: ProviderUnderTest, path: str
) -> None:
    response = provider.browser.get(path, headers={"host": "10.0.0.7:5556"})
    assert response.status_code == 200
    assert "10.0.0.7" not in response.text


@pytest.mark.covers("R-87")
@pytest.mark.parametrize(
    "path",
    ["/auth/", "//auth", "///auth", "/auth//", "/auth/local/", "/auth//local", "/auth/local//login",
     "/auth/local/login/", "/auth/local/login/x", "/AUTH", "/Auth", "/auth.", "/auth;x=1", "/auth ",
     "/auth%20", "/auth%00", "/approval/", "//approval", "/token/", "//token", "/Token",
     "/userinfo/", "/keys/", "/home", "/dex/auth", "/auth/callback/x", "/%61uth/", "/index.html",
     "/device", "/device/callback", "/callback", "/admin", "/.env", "/.git/config", "/metrics",
     "/healthz/", "/static", "/auth%3fclient_id=app", "/é", "/%ff", "/auth\\local"],
)  # fmt: skip
def test_any_other_path_is_nothing(provider: ProviderUnderTest, path: str) -> None:
    fields = authorization_parameters({})
    for method in ("GET", "POST", "PUT"):
        response = provider.browser.request(method, ISSUER + path, params=fields)
        assert response.status_code in (400, 404), path
        assert "location" not in response.headers
        assert "set-cookie" not in response.headers
    assert "nothing at this address" in response.text or response.status_code == 400


@pytest.mark.covers("R-87")
@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/auth", {"GET", "HEAD", "POST"}),
        ("/auth/local", {"GET", "HEAD", "POST"}),
        ("/auth/local/login", {"POST"}),
        ("/approval", {"POST"}),
        ("/token", {"POST"}),
        ("/userinfo", {"GET", "HEAD", "POST"}),
        ("/", {"GET", "HEAD"}),
        ("/healthz", {"GET", "HEAD"}),
    ],
)
def test_any_other_method_is_405_and_told_which_ones_there_are(
    provider: ProviderUnderTest, path: str, allowed: set[str]
) -> None:
    methods = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW", "PROPFIND")
    for method in set(methods) - allowed:
        response = provider.browser.request(method, path)
        assert response.status_code == 405, method
        offered = {name.strip() for name in response.headers["allow"].split(",")}
        assert offered - {"OPTIONS"} == allowed
        assert "location" not in response.headers
        assert "set-cookie" not in response.headers


@pytest.mark.covers("R-87", "R-58")
def test_options_tells_pages_of_other_sites_nothing_about_the_login(
    provider: ProviderUnderTest,
) -> None:
    headers = {"origin": "https://app.example.com", "access-control-request-method": "POST"}
    for path in ("/auth", "/auth/local", "/auth/local/login", "/approval", "/"):
        response = provider.browser.request("OPTIONS", path, headers=headers)
        assert response.status_code == 405
        assert "access-control-allow-origin" not in response.headers


@pytest.mark.covers("R-87")
def test_head_is_get_without_a_body_and_writes_nothing(provider: ProviderUnderTest) -> None:
    for path, status in (("/auth", 400), ("/", 200), ("/nothing", 404), ("/healthz", 200)):
        response = provider.browser.request("HEAD", path)
        assert response.status_code == status
    response = provider.browser.request("HEAD", "/auth", params=authorization_parameters({}))
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.covers("R-85", "CV-20")
def test_every_request_has_a_number_of_our_own(provider: ProviderUnderTest) -> None:
    numbers = {provider.browser.get("/").headers["x-request-id"] for _ in range(20)}
    assert len(numbers) == 20
    assert all(re.fullmatch(r"[0-9a-f]{16}", number) for number in numbers)


@pytest.mark.covers("R-85")
@pytest.mark.parametrize("issuer", ["https://idp.example.com:443", "http://127.0.0.1:80"])
def test_an_issuer_that_names_its_default_port_is_reached_by_browsers_all_the_same(
    issuer: str,
) -> None:
    # Browsers send neither Host nor Origin with the port that goes without saying.
    with provider_under_test({**base_config(), "issuer": issuer}) as provider:
        base = issuer.rpartition(":")[0]
        headers = {"host": base.partition("//")[2], "origin": base}
        page = provider.browser.get(
            f"{base}/auth", params=authorization_parameters({}), headers=headers
        )
        assert page.status_code == 200
        cookie = page.headers["set-cookie"].partition(";")[0]
        form = {"login": ALICE, "password": "wrong", "state": login_page(page).state}
        sent = provider.browser.post(
            f"{base}/auth/local/login", data=form, headers={**headers, "cookie": cookie}
        )
        assert sent.status_code == 401


@pytest.mark.covers("R-87")
def test_below_a_path_everything_is_below_it() -> None:
    with provider_under_test({**base_config(), "issuer": f"{ISSUER}/dex"}) as provider:
        fields = authorization_parameters({})
        page = provider.browser.get("/dex/auth", params=fields)
        assert login_page(page).action == "/dex/auth/local/login"
        posted = provider.browser.post("/dex/auth/local", data=fields)
        assert posted.headers["location"].startswith("/dex/auth/local?req=")
        chooser = provider.browser.get("/dex/auth", params={**fields, "prompt": "select_account"})
        assert 'href="/dex/auth/local?' in chooser.text
        for path in ("/auth", "/", "/token", "/dex/dex/auth", "/dexauth", "/dex/../auth"):
            assert provider.browser.get(path, params=fields).status_code == 404
