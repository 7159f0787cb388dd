"""What a client gives up is dead at every replica within a second, at every door."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from tests.kit.relying_party import RelyingParty, Tokens
from tests.kit.scene import JANE, OMAR, example_party
from tests.kit.servers.kubernetes_store import KubernetesStore
from tests.kit.servers.replicas import Replicas
from tests.kit.together import together
from tests.kit.waiting import eventually

pytestmark = [pytest.mark.servers, pytest.mark.covers("I-3", "R-100", "R-101")]

_LIVE_SECONDS = 1.0
_INACTIVE = {"active": False}


@pytest.fixture(scope="module")
def parties(replicas: Replicas) -> Iterator[list[RelyingParty]]:
    """Yield one client with a secret, straight to each replica."""
    with ExitStack() as stack:
        yield [
            example_party(stack.enter_context(replica.client()), replicas.issuer)
            for replica in replicas.each
        ]


@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
def test_revoked_token_is_dead_everywhere_within_a_second(
    parties: list[RelyingParty], kind: str
) -> None:
    tokens = parties[0].sign_in(JANE.email, JANE.password)
    bystander = parties[1].sign_in(JANE.email, JANE.password)
    for party in parties:
        assert _is_active(tokens.access_token, party)
        assert _is_active(tokens.refresh_token, party)

    assert parties[0].revoke(getattr(tokens, kind)).status_code == 200

    # Whoever answered the client knows it at once.
    assert parties[0].introspect(tokens.access_token).json() == _INACTIVE
    _everywhere(parties, partial(_is_dead, tokens))
    for party in parties:
        assert party.introspect(tokens.access_token).json() == _INACTIVE
        assert party.introspect(tokens.refresh_token).json() == _INACTIVE
        assert party.revoke(tokens.refresh_token).status_code == 200
        refused = party.token(grant_type="refresh_token", refresh_token=tokens.refresh_token)
        assert refused.json()["error"] == "invalid_grant"
        assert _is_active(bystander.access_token, party)
        assert _is_active(bystander.refresh_token, party)


def test_replica_that_starts_later_knows_what_was_revoked(
    parties: list[RelyingParty], replicas: Replicas
) -> None:
    tokens = parties[0].sign_in(JANE.email, JANE.password)
    assert parties[0].revoke(tokens.refresh_token).status_code == 200

    replicas.each[2].restart()

    assert parties[2].introspect(tokens.access_token).json() == _INACTIVE
    assert parties[2].userinfo(tokens.access_token).status_code == 401


def test_tokens_of_a_locked_person_are_inactive_everywhere_within_a_second(
    parties: list[RelyingParty], store: KubernetesStore
) -> None:
    tokens = parties[0].sign_in(OMAR.email, OMAR.password)
    for party in parties:
        assert _is_active(tokens.access_token, party)

    store.apply(
        {
            "apiVersion": "state.kube-idp.dev/v1beta1",
            "kind": "UserState",
            "metadata": {"name": "omar"},
            "spec": {
                "connector": "local",
                "userID": f"id-of-{OMAR.email}",
                "user": OMAR.email,
                "locked": True,
            },
        }
    )

    _everywhere(parties, partial(_is_dead, tokens))
    for party in parties:
        assert party.introspect(tokens.refresh_token).json() == _INACTIVE
    store.kubectl("delete", "userstate", "omar").check()
    _everywhere(parties, partial(_is_active, tokens.refresh_token))


@pytest.mark.covers("K-10")
def test_replicas_that_revoke_one_token_together_all_succeed(parties: list[RelyingParty]) -> None:
    for _ in range(5):
        tokens = parties[0].sign_in(JANE.email, JANE.password)
        answers = together(
            [partial(party.revoke, tokens.refresh_token) for party in parties for _ in range(4)]
        )
        assert {answer.status_code for answer in answers} == {200}
        assert not _is_active(tokens.refresh_token, parties[2])


def _is_active(token: str, party: RelyingParty) -> bool:
    return bool(party.introspect(token).raise_for_status().json()["active"])


def _is_dead(tokens: Tokens, party: RelyingParty) -> bool:
    at_userinfo = party.userinfo(tokens.access_token).status_code == 401
    return at_userinfo and not _is_active(tokens.access_token, party)


def _everywhere(parties: list[RelyingParty], is_so: Callable[[RelyingParty], bool]) -> None:
    """Return once it is so at each of them; fails after a second."""
    together(
        [partial(eventually, partial(is_so, party), within=_LIVE_SECONDS) for party in parties]
    )
