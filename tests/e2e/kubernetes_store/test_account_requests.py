"""What the account page asks of the API server, by its own audit log."""

from collections.abc import Iterator
from urllib.parse import urljoin

import httpx
import pytest

from tests.kit.relying_party import RelyingParty, read_form, submit_login
from tests.kit.scene import JANE, OMAR, Account, kubernetes_party, provider_config
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.kubernetes_store import KubernetesStore

pytestmark = pytest.mark.servers

_LOOKS = 5


@pytest.fixture(scope="module")
def provider(
    ca: CertificateAuthority, store: KubernetesStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[IdpProcess]:
    directory = tmp_path_factory.mktemp("account")
    overrides = {"sessions": {"enabled": True}}
    config = provider_config(directory, ca=ca, store=store, overrides=overrides)
    with IdpProcess(config, cwd=directory, ca=ca) as running:
        yield running


@pytest.fixture
def browser(provider: IdpProcess) -> Iterator[httpx.Client]:
    with provider.client() as http:
        yield http


def enter(browser: httpx.Client, account: Account) -> httpx.Response:
    """Sign in at the account page and return it."""
    to_the_form = browser.get("/account")
    url = urljoin(str(to_the_form.url), to_the_form.headers["location"])
    back = submit_login(browser, url, login=account.email, password=account.password)
    assert "code" not in back
    return browser.get("/account").raise_for_status()


def test_who_is_not_signed_in_costs_nothing(browser: httpx.Client, store: KubernetesStore) -> None:
    with store.api_requests.recorded() as recorded:
        for _ in range(_LOOKS):
            url = browser.get("/account").headers["location"]
            assert 'name="password"' in browser.get(url).text
    assert recorded.of_operations == [], str(recorded)


def test_a_look_is_one_list_of_the_person_alone_and_two_reads(
    browser: httpx.Client, store: KubernetesStore
) -> None:
    enter(browser, JANE)
    with store.api_requests.recorded() as recorded:
        for _ in range(_LOOKS):
            browser.get("/account").raise_for_status()
    assert recorded.writes == [], str(recorded)
    lists = [each for each in recorded.of_operations if each.verb == "list"]
    assert len(lists) == _LOOKS, str(recorded)
    assert len(recorded.of_operations) <= 3 * _LOOKS, str(recorded)
    for each in lists:
        assert each.query["labelSelector"].startswith("kube-idp.dev/person="), str(each)
        assert int(each.query["limit"]) <= 500


@pytest.mark.covers("R-110")
def test_signing_out_everywhere_is_one_write_for_each_login_and_none_for_others(
    browser: httpx.Client, provider: IdpProcess, store: KubernetesStore
) -> None:
    with provider.client() as http, provider.client() as omars:
        party = kubernetes_party(http, provider.issuer)
        tokens = [_device(provider, JANE) for _ in range(4)]
        enter(omars, OMAR)
        page = enter(browser, JANE)
        alive = page.text.count('name="end_session"')
        with store.api_requests.recorded() as recorded:
            form = {**read_form(page.text).fields, "everywhere": "yes"}
            browser.post("/account", data=form).raise_for_status()
        assert len(recorded.writes) == alive, str(recorded)
        lists = [each for each in recorded.of_operations if each.verb == "list"]
        assert len(lists) <= 4, str(recorded)
        for each in tokens:
            assert party.userinfo(each).status_code == 401
        assert omars.get("/account").status_code == 200


def _device(provider: IdpProcess, account: Account) -> str:
    """Sign in with a browser of its own; return the access token."""
    with provider.client() as http:
        party: RelyingParty = kubernetes_party(http, provider.issuer)
        return party.sign_in(account.email, account.password).access_token
