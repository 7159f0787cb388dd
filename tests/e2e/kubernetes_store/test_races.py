"""Races over three replicas: whoever redeems or refreshes at the same moment, one write wins."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import httpx
import pytest

from tests.kit.relying_party import Attempt, RelyingParty, submit_login
from tests.kit.scene import JANE, kubernetes_party
from tests.kit.servers.api_requests import Recorded
from tests.kit.servers.kubernetes_store import KubernetesStore
from tests.kit.servers.replicas import Replicas
from tests.kit.sizes import counted
from tests.kit.together import together

pytestmark = [pytest.mark.servers, pytest.mark.timeout(3600)]

_RACERS = 20
_RACES = counted("KUBE_IDP_RACES", ci=10, full=100)
"""200 racers in CI, 2,000 by hand; `KUBE_IDP_RACES=500` for 10,000."""


@dataclass(frozen=True, slots=True)
class _Login:
    """A code that nobody has redeemed yet."""

    code: str
    attempt: Attempt


@pytest.fixture(scope="module")
def parties(replicas: Replicas) -> Iterator[list[RelyingParty]]:
    """Yield one client, straight to each replica."""
    with ExitStack() as stack:
        yield [
            kubernetes_party(stack.enter_context(replica.client()), replicas.issuer)
            for replica in replicas.each
        ]


def _sign_in(party: RelyingParty) -> _Login:
    attempt = party.depart()
    location = submit_login(party.http, attempt.url, login=JANE.email, password=JANE.password)
    return _Login(party.code_of(location, attempt), attempt)


@pytest.mark.covers("R-20", "K-10")
def test_of_all_who_redeem_one_code_one_gets_tokens(
    parties: list[RelyingParty], store: KubernetesStore
) -> None:
    logins = [_sign_in(parties[number % len(parties)]) for number in range(_RACES)]

    with store.api_requests.recorded() as recorded:
        for login in logins:
            answers = _redeem_together(parties, login)
            assert sum(answer.status_code == 200 for answer in answers) == 1
            refused = [answer for answer in answers if answer.status_code != 200]
            assert {answer.json()["error"] for answer in refused} == {"invalid_grant"}

    # One spends the code; one of the others, whose use of it is a replay, ends the grant.
    assert set(_writes_done(recorded).values()) == {2}


@pytest.mark.covers("R-20", "K-10")
def test_everybody_with_a_code_of_their_own_wins_with_one_write(
    parties: list[RelyingParty], store: KubernetesStore
) -> None:
    for _ in range(_RACES):
        logins = [_sign_in(parties[number % len(parties)]) for number in range(_RACERS)]

        with store.api_requests.recorded() as recorded:
            tokens = together(
                [
                    partial(parties[number % len(parties)].redeem, login.code, login.attempt)
                    for number, login in enumerate(logins)
                ]
            )

        assert len({each.refresh_token for each in tokens}) == _RACERS
        writes = _writes_done(recorded)
        assert len(writes) == _RACERS
        assert set(writes.values()) == {1}


@pytest.mark.covers("R-31", "K-10")
def test_all_who_refresh_with_one_token_get_the_one_successor(
    parties: list[RelyingParty], store: KubernetesStore
) -> None:
    for number in range(_RACES):
        party = parties[number % len(parties)]
        token = party.sign_in(JANE.email, JANE.password).refresh_token

        with store.api_requests.recorded() as recorded:
            answers = together(
                [partial(parties[n % len(parties)].refresh, token) for n in range(_RACERS)]
            )

        successors = {answer.refresh_token for answer in answers}
        assert len(successors) == 1
        assert successors != {token}
        assert list(_writes_done(recorded).values()) == [1]
        assert parties[0].refresh(successors.pop()).id_token


def test_nothing_of_this_was_taken_for_theft(
    parties: list[RelyingParty], replicas: Replicas
) -> None:
    said = Counter(str(line["event"]) for line in replicas.log_lines())

    assert said["refresh_token_reused"] == 0
    assert said["unexpected_error"] == 0


def _redeem_together(parties: list[RelyingParty], login: _Login) -> list[httpx.Response]:
    form = {
        "grant_type": "authorization_code",
        "code": login.code,
        "redirect_uri": parties[0].redirect_uri,
        "code_verifier": login.attempt.code_verifier,
    }
    return together([partial(parties[n % len(parties)].token, **form) for n in range(_RACERS)])


def _writes_done(recorded: Recorded) -> Counter[str]:
    """Return how many writes were carried out, by grant."""
    return Counter(request.name for request in recorded.done)
