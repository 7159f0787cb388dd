"""What a person does on the pages: fills in the form, presses the button."""

from playwright.sync_api import Page

from tests.kit.scene import Account
from tests.kit.servers.browser import Complaint, Person


def send_login(page: Page, account: Account, *, password: str | None = None) -> None:
    """Fill in the login form of a page and send it; another password than theirs is wrong."""
    page.get_by_label("Email").fill(account.email)
    page.get_by_label("Password").fill(account.password if password is None else password)
    page.get_by_role("button", name="Sign in").click()


def faults(person: Person) -> list[Complaint]:
    """Return what is wrong whatever a page shows: the status of an answer is left out."""
    return [each for each in person.complaints if each.kind not in ("status", "request")]
