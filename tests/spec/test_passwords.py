"""The login form: what it tells a stranger (nothing), and how many guesses it lets through."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import quote_plus, urlencode

import anyio
import httpx
import pytest

from connectors.base import BadCredentials, Identity
from tests.kit.connectors import ScriptedPasswordConnector
from tests.kit.provider import (
    ALICE,
    CONFIDENTIAL,
    PASSWORD,
    PASSWORD_HASH,
    Browser,
    ProviderUnderTest,
    answer_of,
    authorization_parameters,
    base_config,
    login_page,
    provider_under_test,
)
from tests.kit.storage import Faults, FlakyBackend

FORM = {"content-type": "application/x-www-form-urlencoded"}


@dataclass(slots=True)
class Door:
    """A provider with real local users or a scripted connector, and a count of its writes."""

    provider: ProviderUnderTest
    faults: Faults
    connector: ScriptedPasswordConnector
    _addresses: Iterator[int] = field(default_factory=lambda: iter(range(1, 60_000)))

    def browser(self) -> Browser:
        """Return a browser at an address of its own."""
        number = next(self._addresses)
        return self.provider.new_browser(f"198.18.{number // 250}.{number % 250}")

    def try_raw(self, body: bytes, browser: Browser | None = None) -> httpx.Response:
        """Send a form whose name and password are given as they stand in the body."""
        browser = browser or self.browser()
        page = login_page(self.provider.authorize(browser=browser))
        content = body + b"&state=" + page.state.encode()
        return browser.post(page.action, content=content, headers=FORM)

    def try_(self, username: str, password: str, browser: Browser | None = None) -> httpx.Response:
        """Send a form."""
        return self.try_raw(urlencode({"login": username, "password": password}).encode(), browser)


@contextmanager
def _door(*, scripted: bool) -> Iterator[Door]:
    config = base_config()
    # Keys that are made in no time: half of these tests start a provider of their own.
    config["signer"] = {"type": "local", "config": {"algorithm": "ES256"}}
    config["staticPasswords"].append(
        {"email": "straße@example.com", "hash": PASSWORD_HASH, "userID": "user-2"}
    )
    faults = Faults()
    identity = Identity(user_id="user-1", username="Alice", email=ALICE)
    connector = ScriptedPasswordConnector({ALICE: (PASSWORD, identity)})
    with provider_under_test(
        config,
        wrap_backend=lambda backend: FlakyBackend(backend, faults),
        wrap_connectors=lambda found: {"local": connector} if scripted else found,
    ) as provider:
        yield Door(provider, faults, connector)


@pytest.fixture(scope="module")
def shared() -> Iterator[Door]:
    with _door(scripted=False) as door:
        yield door


@pytest.fixture
def real(shared: Door) -> Door:
    """Local users, checked with real hashes; whatever was tried before is forgiven."""
    shared.provider.clock.turn(timedelta(hours=4))
    return shared


@pytest.fixture
def scripted() -> Iterator[Door]:
    """A fresh throttle in front of a connector that remembers what it was asked."""
    with _door(scripted=True) as door:
        yield door


def anonymous(response: httpx.Response) -> tuple[int, str, list[tuple[str, str]]]:
    """Return an answer without the typed name, the sealed state and the number of the request."""
    text = re.sub(r'(name="state" value=")[^"]+', r"\1…", response.text)
    text = re.sub(r'(id="login" name="login" type="text" dir="auto" value=")[^"]*', r"\1…", text)
    # The cursor stands in the first empty field.
    text = re.sub(r"\s*autofocus", "", text)
    headers = [
        pair
        for pair in response.headers.multi_items()
        if pair[0] not in ("x-request-id", "content-length")
    ]
    return response.status_code, re.sub(r"\s+", " ", text), headers


WRONG = {
    "wrong password": b"login=alice%40example.com&password=wrong",
    "unknown name": b"login=nobody%40example.com&password=wrong",
    "unknown name with a good password": b"login=nobody%40example.com&password="
    + quote_plus(PASSWORD).encode(),
    "empty password": b"login=alice%40example.com&password=",
    "no password": b"login=alice%40example.com",
    "no name": b"password=x",
    "empty name": b"login=&password=x",
    "blank name": b"login=+++&password=x",
    "nothing at all": b"x=",
    "long password": b"login=alice%40example.com&password=" + b"a" * 1025,
    "very long password": b"login=alice%40example.com&password=" + b"a" * 60_000,
    "password with NUL": b"login=alice%40example.com&password=" + PASSWORD.encode() + b"%00",
    "invalid UTF-8 password": b"login=alice%40example.com&password=%ff%fe",
    "surrogate password": b"login=alice%40example.com&password=%ed%a0%80",
    "password with a blank": b"login=alice%40example.com&password="
    + quote_plus(PASSWORD + " ").encode(),
    "password in other case": b"login=alice%40example.com&password="
    + quote_plus(PASSWORD.upper()).encode(),
    "name with NUL": b"login=alice%40example.com%00&password=x",
    "name with a line end": b"login=alice%40example.com%0d%0aSet-Cookie:+a=b&password=x",
    "invalid UTF-8 name": b"login=%ff&password=x",
    "surrogate name": b"login=%ed%a0%80alice&password=x",
    "long name": b"login=" + b"a" * 256 + b"&password=x",
    "very long name": b"login=" + b"a" * 50_000 + b"&password=x",
    "name of both directions": b"login=%d7%90a%d7%90&password=x",
    "invisible character": b"login=a%c2%adlice%40example.com&password=x",
    "zero width joiner": b"login=a%e2%80%8dlice%40example.com&password=x",
    "bidi override": b"login=%e2%80%aealice%40example.com&password=x",
    "LDAP filter": b"login=*)(uid=*&password=*",
    "SQL": b"login='+OR+1=1--&password='+OR+1=1--",
    "template": b"login={{7*7}}&password={{7*7}}",
    "password of another person": b"login=stra%c3%9fe%40example.com&password=x",
}


@pytest.mark.covers("R-66", "R-76", "CV-6")
@pytest.mark.parametrize("name", WRONG)
def test_every_wrong_form_gets_the_same_answer(real: Door, name: str) -> None:
    expected = anonymous(real.try_("somebody@example.com", "something"))
    assert expected[0] == 401
    assert anonymous(real.try_raw(WRONG[name])) == expected


@pytest.mark.covers("R-66", "CV-30")
def test_the_form_keeps_the_name_and_forgets_the_password(real: Door) -> None:
    response = real.try_("bob@example.com", "a password typed with care")
    assert 'value="bob@example.com"' in response.text
    assert "typed with care" not in response.text + str(response.headers)


@pytest.mark.covers("R-66", "R-65")
@pytest.mark.parametrize("more", [b"&password=x&password=y", b"&" * 70, b"&x=1" * 70])
def test_an_odd_form_is_a_4xx(real: Door, more: bytes) -> None:
    response = real.try_raw(b"login=alice%40example.com&password=x" + more)
    assert 400 <= response.status_code < 500


@pytest.mark.covers("R-66", "R-65")
@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data", "", "x"])
def test_a_form_of_another_kind_is_a_page(real: Door, content_type: str) -> None:
    body = urlencode({"login": ALICE, "password": PASSWORD})
    headers = {"content-type": content_type}
    response = real.browser().post("/auth/local/login", content=body, headers=headers)
    assert response.status_code == 400
    assert "<form" not in response.text


@pytest.mark.covers("R-68", "CV-5", "CV-25")
@pytest.mark.parametrize(
    "username",
    ["Alice@example.com", "ALICE@EXAMPLE.COM", " alice@example.com ", "ａｌｉｃｅ@example.com",
     "ＡＬＩＣＥ@example.com", "alice＠example.com"],
)  # fmt: skip
def test_every_spelling_of_a_name_is_one_account(real: Door, username: str) -> None:
    subjects = set()
    for name in (ALICE, username):
        code = answer_of(real.try_(name, PASSWORD))["code"]
        tokens = real.provider.redeem(code).json()
        subjects.add(real.provider.userinfo(tokens["access_token"]).json()["sub"])
    assert len(subjects) == 1


@pytest.mark.covers("R-68", "R-69", "CV-25")
@pytest.mark.parametrize(
    "username",
    ["alice", "alice@example.com@evil.example", "alice@example.com\u200b", "\u0430lice@example.com",
     "alice@example.com/", "a\u00adlice@example.com", "alice @example.com", "álice@example.com",
     "alice@example.com\t", "cn=alice@example.com"],
)  # fmt: skip
def test_no_other_name_is_that_account(real: Door, username: str) -> None:
    assert real.try_(username, PASSWORD).status_code == 401


@pytest.mark.covers("R-70", "CV-5")
def test_five_guesses_are_checked_and_the_rest_get_the_same_answer_unchecked(
    scripted: Door,
) -> None:
    answers = {str(anonymous(scripted.try_(ALICE, f"guess {n}"))) for n in range(60)}
    assert len(answers) == 1
    assert len(scripted.connector.asked) == 5


@pytest.mark.covers("R-70", "CV-5")
def test_after_five_guesses_even_the_right_password_waits_a_second(scripted: Door) -> None:
    for n in range(5):
        scripted.try_(ALICE, f"guess {n}")
    assert scripted.try_(ALICE, PASSWORD).status_code == 401
    scripted.provider.clock.turn(1)
    assert scripted.try_(ALICE, PASSWORD).status_code == 303
    # It resets: the next five are checked again.
    before = len(scripted.connector.asked)
    for n in range(9):
        scripted.try_(ALICE, f"guess {n}")
    assert len(scripted.connector.asked) == before + 5


@pytest.mark.covers("R-68", "R-70", "CV-5", "CV-25")
def test_another_spelling_brings_no_further_guesses(scripted: Door) -> None:
    for name in (ALICE, "Alice@example.com", " alice@example.com", "ＡＬＩＣＥ@example.com",
                 "álicé@example.com", "alice@EXAMPLE.com", "a\u0300lice@example.com"):  # fmt: skip
        for n in range(3):
            scripted.try_(name, f"guess {n}")
    assert len(scripted.connector.asked) == 5


@pytest.mark.covers("R-71", "CV-5")
def test_of_a_hundred_guesses_at_the_same_moment_five_are_checked() -> None:
    connector = SlowConnector()
    with provider_under_test(wrap_connectors=lambda _: {"local": connector}) as provider:
        browsers = [provider.new_browser(f"198.18.0.{n}") for n in range(100)]
        pages = [login_page(provider.authorize(browser=browser)) for browser in browsers]
        statuses: list[int] = []

        async def guess(number: int) -> None:
            form = {"login": ALICE, "password": f"guess {number}", "state": pages[number].state}
            response = await browsers[number].client.post(pages[number].action, data=form)
            statuses.append(response.status_code)

        async def guess_all() -> None:
            async with anyio.create_task_group() as group:
                for number in range(100):
                    group.start_soon(guess, number)

        provider.portal.call(guess_all)
        assert statuses == [401] * 100
        assert connector.asked <= 5


@dataclass(slots=True)
class SlowConnector:
    """Knows nobody, and takes its time to say so."""

    asked: int = 0
    username_prompt: str = "Email address"

    async def login(self, username: str, password: str) -> Identity:
        """Raise BadCredentials after a while."""
        self.asked += 1
        await anyio.sleep(0.05)
        raise BadCredentials("slow")


@pytest.mark.covers("R-73")
def test_a_source_that_tries_many_names_is_told_to_wait(scripted: Door) -> None:
    browser = scripted.provider.new_browser("203.0.113.9")
    statuses = [scripted.try_(f"user{n}", "Winter2026!", browser).status_code for n in range(30)]
    assert statuses == [401] * 20 + [429] * 10
    assert len(scripted.connector.asked) == 20
    response = scripted.try_("another", "x", browser)
    assert 0 < int(response.headers["retry-after"]) <= 60
    assert "<form" not in response.text
    # Its neighbours sign in meanwhile, and so does it after the minute.
    assert scripted.try_(ALICE, PASSWORD).status_code == 303
    scripted.provider.clock.turn(61)
    assert scripted.try_("another", "x", browser).status_code == 401


@pytest.mark.covers("R-73")
def test_an_ipv6_customer_is_one_source(scripted: Door) -> None:
    statuses = []
    for n in range(25):
        browser = scripted.provider.new_browser(f"2001:db8:1:2:{n:x}::{n:x}")
        statuses.append(scripted.try_(f"user{n}", "x", browser).status_code)
    assert statuses == [401] * 20 + [429] * 5
    elsewhere = scripted.provider.new_browser("2001:db8:1:3::1")
    assert scripted.try_("user99", "x", elsewhere).status_code == 401


@pytest.mark.covers("R-74", "CV-5")
def test_a_known_browser_signs_in_while_somebody_else_hammers(scripted: Door) -> None:
    home = scripted.browser()
    assert scripted.try_(ALICE, PASSWORD, home).status_code == 303
    for n in range(100):
        scripted.try_(ALICE, f"guess {n}")
        scripted.provider.clock.turn(0.1)
    assert scripted.try_(ALICE, PASSWORD).status_code == 401, "a browser nobody knows has to wait"
    assert scripted.try_(ALICE, PASSWORD, home).status_code == 303


@pytest.mark.covers("R-74", "R-73")
def test_a_known_browser_does_not_answer_for_the_network_it_shares(scripted: Door) -> None:
    home, neighbour = (scripted.provider.new_browser("203.0.113.50") for _ in range(2))
    assert scripted.try_(ALICE, PASSWORD, home).status_code == 303
    for n in range(25):
        scripted.try_(f"user{n}", "x", neighbour)
    assert scripted.try_(ALICE, PASSWORD, neighbour).status_code == 429
    assert scripted.try_(ALICE, PASSWORD, home).status_code == 303


@pytest.mark.covers("R-74")
def test_a_known_browser_is_known_for_its_own_accounts_only(scripted: Door) -> None:
    home = scripted.browser()
    scripted.try_(ALICE, PASSWORD, home)
    before = len(scripted.connector.asked)
    for n in range(10):
        scripted.try_("bob@example.com", f"guess {n}", home)
    assert len(scripted.connector.asked) - before == 5
    # And its own tries are counted as well.
    for n in range(10):
        scripted.try_(ALICE, f"guess {n}", home)
    assert len(scripted.connector.asked) - before == 10


@pytest.mark.covers("R-74", "CV-34")
@pytest.mark.parametrize("change", ["another id", "another tag", "no tag", "swapped"])
def test_a_forged_cookie_makes_no_browser_known(scripted: Door, change: str) -> None:
    home, stranger = scripted.browser(), scripted.browser()
    scripted.try_(ALICE, PASSWORD, home)
    scripted.try_("nobody", "x", stranger)
    (cookie,) = home.client.cookies.jar
    browser_id, tag = (cookie.value or "").split(".")
    forged = {
        "another id": f"{browser_id[::-1]}.{tag}",
        "another tag": f"{browser_id}.{tag[:-1]}{'A' if tag[-1] != 'A' else 'B'}",
        "no tag": browser_id,
        "swapped": f"{next(iter(stranger.client.cookies.jar)).value}.{tag}",
    }[change]
    stranger.client.cookies.clear()
    stranger.client.cookies.set(cookie.name, forged, domain="idp.example.com", path="/")
    for n in range(6):
        scripted.try_(ALICE, f"guess {n}")
    assert scripted.try_(ALICE, PASSWORD, stranger).status_code == 401
    assert scripted.try_(ALICE, PASSWORD, home).status_code == 303


@pytest.mark.covers("R-76", "R-66")
def test_what_can_be_nobodys_password_never_reaches_the_connector(scripted: Door) -> None:
    for password in (b"", b"a" * 1025, b"%e2%82%ac" * 342):
        scripted.try_raw(b"login=alice%40example.com&password=" + password)
    assert scripted.connector.asked == []
    scripted.try_raw(b"login=alice%40example.com&password=" + b"a" * 1024)
    assert scripted.connector.asked == [ALICE]


@pytest.mark.covers("R-70", "CV-1")
def test_a_try_without_a_good_state_is_no_try(scripted: Door) -> None:
    for n in range(20):
        form = {"login": ALICE, "password": f"guess {n}", "state": "x"}
        assert scripted.browser().post("/auth/local/login", data=form).status_code == 400
    assert scripted.connector.asked == []
    assert scripted.try_(ALICE, PASSWORD).status_code == 303


@pytest.mark.covers("R-72", "R-50")
def test_a_thousand_requests_of_strangers_write_nothing(real: Door) -> None:
    good = urlencode(authorization_parameters({}))
    guess = {"grant_type": "authorization_code", "code": "kic_a.b.c", "redirect_uri": "x"}
    page = login_page(real.provider.authorize(browser=(stranger := real.browser())))
    wrong = {"login": "nobody@example.com", "password": "x", "state": page.state}
    writes, client = real.faults.writes, stranger.client
    requests = [
        client.build_request("GET", f"/auth?{good}"),
        client.build_request("GET", "/auth?client_id=ghost"),
        client.build_request("POST", "/auth", content=good, headers=FORM),
        client.build_request("GET", f"/auth?{good}&prompt=none"),
        client.build_request("POST", page.action, data=wrong),
        client.build_request("POST", page.action, data={**wrong, "state": "x"}),
        client.build_request("POST", "/approval", data={"state": "x", "approval": "approve"}),
        client.build_request("POST", "/token", data=guess, headers={"authorization": "Basic x"}),
        client.build_request("POST", "/token", data={**guess, "client_id": "cli"}),
        client.build_request("POST", "/token", data={**guess, "client_id": CONFIDENTIAL[0]}),
        client.build_request("GET", "/userinfo", headers={"authorization": "Bearer x"}),
        client.build_request("GET", "/nothing"),
    ]
    statuses: set[int] = set()

    async def send_all() -> None:
        for number in range(1000):
            response = await client.send(requests[number % len(requests)])
            statuses.add(response.status_code)

    real.provider.portal.call(send_all)
    assert max(statuses) < 500
    assert {200, 303, 400, 401, 404, 429} <= statuses
    assert real.faults.writes == writes
