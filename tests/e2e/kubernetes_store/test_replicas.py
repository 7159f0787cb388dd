"""Three replicas on one store: they start together, share all work, and die one after the other."""

import time

import pytest

from tests.kit.relying_party import submit_login
from tests.kit.scene import JANE, kubernetes_party
from tests.kit.servers.kubernetes_store import KubernetesStore
from tests.kit.servers.replicas import Replicas
from tests.kit.sizes import sized
from tests.kit.traffic import Traffic
from tests.kit.waiting import eventually

pytestmark = pytest.mark.servers

_PEOPLE = 4
_DOWN_SECONDS = sized(ci=1.0, full=10.0)


@pytest.mark.covers("R-91")
def test_replicas_that_started_at_the_same_moment_have_the_same_keys(
    replicas: Replicas, store: KubernetesStore
) -> None:
    sets = []
    for replica in replicas.each:
        with replica.client() as http:
            sets.append(http.get("/keys").raise_for_status().content)

    assert len(set(sets)) == 1
    rings = store.kubectl("get", "signingkeyrings", "-o", "name").check().split()
    assert rings == ["signingkeyring.state.kube-idp.dev/signing-keys"]


def test_every_step_of_a_login_may_meet_another_replica(replicas: Replicas) -> None:
    """A client that never keeps a connection is handed to the next replica at each request."""
    with replicas.client(connections_kept=0) as http:
        party = kubernetes_party(http, replicas.issuer)
        for _ in range(6):
            tokens = party.sign_in(JANE.email, JANE.password)
            for _ in range(3):
                tokens = party.refresh(tokens.refresh_token)
                assert party.userinfo(tokens.access_token).status_code == 200


@pytest.mark.covers("R-91", "K-10")
def test_token_of_one_replica_is_good_at_every_other(replicas: Replicas) -> None:
    with replicas.each[0].client() as http:
        tokens = kubernetes_party(http, replicas.issuer).sign_in(JANE.email, JANE.password)

    for replica in replicas.each:
        with replica.client() as http:
            party = kubernetes_party(http, replicas.issuer)
            assert party.claims(tokens.id_token)["email"] == JANE.email
            assert party.userinfo(tokens.access_token).status_code == 200
            tokens = party.refresh(tokens.refresh_token)


def test_login_that_ends_at_another_replica_is_no_dearer(
    replicas: Replicas, store: KubernetesStore
) -> None:
    with replicas.each[0].client() as first, replicas.each[1].client() as second:
        party = kubernetes_party(first, replicas.issuer)
        attempt = party.depart()
        with store.api_requests.recorded() as recorded:
            location = submit_login(first, attempt.url, login=JANE.email, password=JANE.password)
            elsewhere = kubernetes_party(second, replicas.issuer)
            elsewhere.redeem(party.code_of(location, attempt), attempt)

    assert len(recorded.writes) <= 2, str(recorded)
    assert len(recorded.of_operations) <= 3, str(recorded)


def test_nobody_is_logged_out_while_replicas_die_one_after_the_other(replicas: Replicas) -> None:
    traffic = Traffic(replicas.client, replicas.issuer)

    with traffic.flowing(people=_PEOPLE) as sessions:
        for replica in replicas.each:
            replica.kill()
            time.sleep(_DOWN_SECONDS)
            replica.start()
            time.sleep(_DOWN_SECONDS)
        # However slowly they work: those who do must be many enough for it to say something.
        wanted = 20 * _PEOPLE
        eventually(lambda: sum(each.refreshes for each in sessions) > wanted, within=60)

    assert [session.problems for session in sessions] == [[]] * _PEOPLE
    # A death is felt by the connections that it ended, at most once for each person.
    assert sum(session.broken_connections for session in sessions) <= 3 * _PEOPLE
    said = {line["event"] for line in replicas.log_lines()}
    assert not said & {"refresh_token_reused", "code_replayed"}
    for replica in replicas.each:
        with replica.client() as http:
            party = kubernetes_party(http, replicas.issuer)
            for session in sessions:
                assert party.refresh(session.refresh_token).id_token
