"""The pages in a real browser: no script runs, nothing is cut off, everything can be reached."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.kit.gallery import DESK, PHONE, browser_context, extreme, open_page, realistic
from tests.kit.install.binaries import Binaries

pytestmark = pytest.mark.servers

EVERY_PAGE = {**realistic(), **extreme()}
# Of a box to tick, its words can be touched as well.
TARGETS = (
    "a, button, input:not([type=hidden], [type=checkbox]), label:has([type=checkbox]), textarea,"
    " summary"
)
GOES_ON = {"signed-out-going-on", "extreme-signed-out"}
"""Pages that lead on to the application, as OIDC RP-Initiated Logout section 2 has it.

They have no more to say than that, and a link for who is faster: no time limit on something to be
read, which is what the rule `meta-refresh` is about.
"""
NARROW = {"width": 320, "height": 568}
# All at once: a question for each target takes a minute for the longest pages.
_BOXES = """targets => targets.map(target => {
  const box = target.getBoundingClientRect();
  return [box.left, box.right, box.height];
})"""
LOOKS = [("light", DESK), ("dark", NARROW)]


@pytest.fixture(scope="module")
def browser(binaries: Binaries) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=binaries.chromium)
        yield chromium
        chromium.close()


@pytest.mark.covers("R-56", "R-60")
@pytest.mark.parametrize("name", [name for name in EVERY_PAGE if "form-post" not in name])
def test_page_runs_no_script_and_breaks_no_policy(browser: Browser, name: str) -> None:
    complaints: list[str] = []
    with browser_context(browser) as context:
        context.on("dialog", lambda dialog: complaints.append(dialog.message))
        context.on("console", lambda message: complaints.append(message.text))
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        page = open_page(context, EVERY_PAGE[name])
        assert page.evaluate("document.scripts.length") == 0
        # The style was loaded, so the policy allows what it should.
        assert page.evaluate("getComputedStyle(document.querySelector('.card')).borderRadius")
        assert page.evaluate("document.images[0].naturalWidth") > 0
        if not page.url.endswith("/page"):
            complaints.append(page.url)
    assert complaints == []


def test_pages_fit_the_window_and_their_targets_fit_a_finger(browser: Browser) -> None:
    with browser_context(browser) as context:
        for name, html in EVERY_PAGE.items():
            page = open_page(context, html)
            for size in (NARROW, PHONE, DESK):
                page.set_viewport_size({"width": size["width"], "height": size["height"]})
                assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], name
                for left, right, height in page.locator(TARGETS).evaluate_all(_BOXES):
                    assert height >= 44, name
                    assert 0 <= left < right <= size["width"], name
            page.close()


@pytest.mark.parametrize("name", EVERY_PAGE)
def test_keyboard_reaches_everything_and_shows_where_it_is(browser: Browser, name: str) -> None:
    with browser_context(browser) as context:
        page = open_page(context, EVERY_PAGE[name])
        targets = page.locator(TARGETS).count()
        seen = set()
        for _ in range(targets + 2):
            seen.add(_focused(page))
            page.keyboard.press("Tab")
        assert len(seen - {""}) == targets


def test_failed_login_puts_the_cursor_into_the_password(browser: Browser) -> None:
    with browser_context(browser) as context:
        page = open_page(context, realistic()["login-failed"])
        assert page.evaluate("document.activeElement.id") == "password"
        assert page.get_by_role("alert").is_visible()
        assert page.get_by_label("Email address").input_value() == "jane.doe@example.com"


def test_login_is_sent_with_the_enter_key(browser: Browser) -> None:
    with browser_context(browser) as context:
        page = open_page(context, realistic()["login"])
        expect(page.get_by_label("User name")).to_be_focused()
        page.keyboard.type("jane")
        page.keyboard.press("Tab")
        page.keyboard.type("a b+c")
        with page.expect_request("**/auth/ldap") as sent:
            page.keyboard.press("Enter")
        assert sent.value.post_data == "state=s&login=jane&password=a+b%2Bc"


@pytest.mark.parametrize("answer", ["approve", "reject"])
def test_approval_sends_the_answer_of_the_button(browser: Browser, answer: str) -> None:
    with browser_context(browser) as context:
        page = open_page(context, realistic()["approval"])
        with page.expect_request("**/approval") as sent:
            page.get_by_role("button", name="Allow" if answer == "approve" else "Deny").click()
        assert sent.value.post_data == f"state=s&approval={answer}"


@pytest.mark.parametrize("name", EVERY_PAGE)
def test_axe_finds_nothing(browser: Browser, name: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    for scheme, size in LOOKS:
        with browser_context(browser, scheme=scheme, size=size) as context:
            page = open_page(context, EVERY_PAGE[name])
            found = {each["id"] for each in axe.run(page).response["violations"]}
            assert found == ({"meta-refresh"} if name in GOES_ON else set())


def test_colours_follow_the_system(browser: Browser) -> None:
    colours = []
    for scheme in ("light", "dark"):
        with browser_context(browser, scheme=scheme) as context:
            page = open_page(context, realistic()["login"])
            colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(243, 245, 249)", "rgb(14, 19, 26)"]


def _focused(page: Page) -> str:
    """Return what has the focus, or "" for the page itself; it must be marked by an outline."""
    script = """() => {
      const element = document.activeElement;
      if (element === document.body) return ["", ""];
      const all = [...document.querySelectorAll("*")];
      return [`${all.indexOf(element)}`, getComputedStyle(element).outlineStyle];
    }"""
    where, outline = page.evaluate(script)
    assert not where or outline == "solid"
    return str(where)
