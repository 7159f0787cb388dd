"""Connectors of the file and of objects in one provider: offered, signed in with, withdrawn."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from connectors.base import Identity
from storage.objects import ObjectKind
from tests.kit.directories import FakeDirectories
from tests.kit.objects import FakeObjects
from tests.kit.provider import (
    ALICE,
    Browser,
    ProviderUnderTest,
    answer_of,
    base_config,
    login_page,
    provider_under_test,
)
from tests.kit.waiting import eventually

KIND: ObjectKind = "identity-connectors"
CORP = {
    "type": "ldap",
    "name": "Corporate",
    "ldap": {"host": "corp.example.com", "userSearch": {"baseDN": "dc=x", "username": "uid"}},
}
FILE = {
    "type": "ldap",
    "id": "file",
    "name": "From the file",
    "config": {
        "host": "file.example.com",
        "usernamePrompt": "Staff number",
        "userSearch": {"baseDN": "dc=x", "username": "uid"},
    },
}
JANE = Identity(user_id="jane", username="Jane", email="jane@example.com", email_verified=True)


@dataclass(slots=True)
class House:
    """A provider with directories and with objects that a test writes."""

    provider: ProviderUnderTest
    objects: FakeObjects
    directories: FakeDirectories

    def apply(self, name: str = "corp", spec: dict[str, Any] = CORP) -> None:
        self.provider.portal.call(self.objects.apply, KIND, name, spec)
        eventually(lambda: self.offers(name), within=5)

    def delete(self, name: str = "corp") -> None:
        self.provider.portal.call(self.objects.delete, KIND, name)
        eventually(lambda: not self.offers(name), within=5)

    def offers(self, name: str) -> bool:
        return f'data-connector="{name}"' in self.provider.authorize().text

    def metric(self, connector: str) -> float | None:
        registry = self.provider.provider.metrics.registry
        return registry.get_sample_value("idp_connector_reachable", {"connector": connector})

    def sign_in(self, connector: str, scope: str = "openid offline_access") -> httpx.Response:
        return self.provider.sign_in(
            {"connector_id": connector, "scope": scope}, username="jane", password="wonderland"
        )


@contextmanager
def house(config: dict[str, Any] | None = None, *, down: str = "") -> Iterator[House]:
    objects = FakeObjects()
    directories = FakeDirectories({"jane": ("wonderland", JANE)}, down={down})
    with provider_under_test(
        config or quick_config(), objects=objects, directories=directories
    ) as provider:
        yield House(provider, objects, directories)


def quick_config(**more: Any) -> dict[str, Any]:
    return {
        **base_config(),
        "signer": {"type": "local", "config": {"algorithm": "ES256"}},
        **more,
    }


def test_an_object_is_a_button_with_its_name_and_signs_people_in() -> None:
    with house() as it:
        assert login_page(it.provider.authorize()).action == "/auth/local/login"
        it.apply()
        assert "Corporate" in it.provider.authorize().text
        code = answer_of(it.sign_in("corp"))["code"]
        tokens = it.provider.redeem(code).json()
        assert it.provider.refresh(tokens["refresh_token"]).status_code == 200
        assert it.metric("corp") == 1


def test_one_that_is_deleted_is_gone_from_every_page_and_every_refresh() -> None:
    with house() as it:
        it.apply()
        tokens = it.provider.redeem(answer_of(it.sign_in("corp"))["code"]).json()
        form = login_page(it.provider.authorize({"connector_id": "corp"}))
        it.delete()
        again = it.provider.browser.post(
            form.action, data={"login": "jane", "password": "wonderland", "state": form.state}
        )
        assert again.status_code == 400
        assert "This way to sign in is gone" in again.text
        assert it.provider.authorize({"connector_id": "corp"}).status_code == 400
        answer = it.provider.refresh(tokens["refresh_token"])
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
        eventually(lambda: it.directories.opened[0].closed, within=5)
        eventually(lambda: math.isnan(it.metric("corp") or 0), within=5)
        # With one connector left there is nothing to choose.
        assert login_page(it.provider.authorize()).action == "/auth/local/login"


def test_who_has_to_approve_cannot_once_the_connector_is_gone() -> None:
    config = quick_config()
    config["oauth2"]["skipApprovalScreen"] = False
    with house(config) as it:
        it.apply()
        page = login_page(it.sign_in("corp"))
        assert page.action == "/approval"
        it.delete()
        answer = it.provider.browser.post(
            page.action, data={"state": page.state, "approval": "approve"}
        )
        assert answer.status_code == 400
        assert "This way to sign in is gone" in answer.text


def test_who_is_being_signed_in_is_signed_in_to_the_end() -> None:
    with house() as it, ThreadPoolExecutor(1) as threads:
        it.apply()
        it.provider.portal.call(it.directories.gate.clear)
        signing_in = threads.submit(it.sign_in, "corp", "openid")
        eventually(lambda: bool(it.directories.asked), within=5)
        it.delete()
        assert not signing_in.done()
        it.provider.portal.call(it.directories.gate.set)
        code = answer_of(signing_in.result(timeout=10))["code"]
        assert it.provider.redeem(code).status_code == 200


def test_a_wrong_password_while_the_connector_goes_is_no_fault() -> None:
    with house() as it, ThreadPoolExecutor(1) as threads:
        it.apply()
        it.provider.portal.call(it.directories.gate.clear)
        it.directories.people.clear()
        signing_in = threads.submit(it.sign_in, "corp")
        eventually(lambda: bool(it.directories.asked), within=5)
        it.delete()
        it.provider.portal.call(it.directories.gate.set)
        assert signing_in.result(timeout=10).status_code == 400


def test_a_connector_of_the_file_goes_first_and_local_users_last() -> None:
    with house(quick_config(connectors=[FILE])) as it:
        it.apply()
        text = it.provider.authorize().text
        places = [text.index(f'data-connector="{each}"') for each in ("file", "corp", "local")]
        assert places == sorted(places)
        page = it.provider.authorize({"connector_id": "file"}).text
        assert "Staff number" in page
        assert "From the file" in page
        assert answer_of(it.sign_in("file"))["code"]


def test_an_object_takes_no_id_of_the_file_nor_of_local_users() -> None:
    with house(quick_config(connectors=[FILE])) as it:
        it.provider.portal.call(it.objects.apply, KIND, "mine", {**CORP, "id": "file"})
        it.provider.portal.call(it.objects.apply, KIND, "local", CORP)
        eventually(lambda: {"mine", "local"} == set(it.objects.writes), within=5)
        assert it.objects.status(KIND, "mine")["Conflict"]["reason"] == "ConfigurationFile"
        assert it.objects.status(KIND, "local")["Ready"]["reason"] == "InvalidSpec"
        assert "Corporate" not in it.provider.authorize().text


@pytest.mark.covers("L-1")
def test_a_directory_that_is_away_at_the_start_stops_nobody_else() -> None:
    config = quick_config(connectors=[FILE])
    with house(config, down="file.example.com") as it:
        eventually(lambda: it.metric("file") == 0, within=5)
        assert answer_of(it.provider.sign_in({"connector_id": "local"}, username=ALICE))["code"]
        away = it.sign_in("file")
        assert away.status_code == 503
        assert "Your password was not judged" in away.text
        it.directories.down.clear()
        eventually(lambda: it.metric("file") == 1, within=10)
        assert answer_of(it.sign_in("file"))["code"]


@pytest.mark.covers("R-68", "R-70", "R-74")
def test_names_of_one_person_bring_no_further_guesses_and_keep_nobody_out() -> None:
    with house() as it:
        it.apply()
        names = ["jane", "jane@example.com", "j.doe@example.com"]
        it.directories.people.update(dict.fromkeys(names, ("wonderland", JANE)))
        known = it.provider.new_browser("192.0.2.9")
        corp = {"connector_id": "corp", "scope": "openid"}

        def sign_in(browser: Browser, name: str, password: str) -> int:
            answer = it.provider.sign_in(corp, browser=browser, username=name, password=password)
            return answer.status_code

        assert sign_in(known, names[2], "wonderland") == 303
        it.directories.asked.clear()
        for name in names:
            for number in range(10):
                guesser = it.provider.new_browser(f"198.18.0.{number}")
                assert sign_in(guesser, name, f"guess {number}") == 401
        # Five under the first name, one until it was known whose the second is; the third she used.
        assert it.directories.asked == [names[0]] * 5 + [names[1]]
        assert sign_in(known, names[2], "wonderland") == 303
