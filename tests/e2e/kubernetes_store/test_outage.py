"""The API server is away, mute or slow: what goes on, what is a 503, and that nothing is spent."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from urllib.parse import urljoin

import httpx
import pytest

from tests.kit.relying_party import Attempt, RelyingParty, Tokens, read_form, submit_login
from tests.kit.scene import JANE, example_party, provider_config
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.fault_proxy import FaultProxy
from tests.kit.servers.faults import (
    BlackHole,
    Dawdles,
    Fault,
    LosesAnswers,
    Refuses,
    SaysGone,
    Stumbles,
    Throttles,
)
from tests.kit.servers.idp_process import IdpProcess
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubernetes_store import KubernetesStore, kubernetes_store
from tests.kit.servers.process import free_port
from tests.kit.servers.rbac import Rule
from tests.kit.sizes import sized
from tests.kit.waiting import Stopwatch, eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

_OUTAGE_SECONDS = sized(ci=15.0, full=60.0)
_MUTE_SECONDS = sized(ci=8.0, full=70.0)
_ANSWER_SECONDS = 3.5
_RECOVERY_SECONDS = 5.0


@pytest.fixture(scope="module")
def store(
    kube_with_crds: KubeApiServer,
    rules: Sequence[Rule],
    proxy: FaultProxy,
    tmp_path_factory: pytest.TempPathFactory,
) -> KubernetesStore:
    """Return a namespace that the provider reaches through the proxy."""
    directory = tmp_path_factory.mktemp("store")
    return kubernetes_store(kube_with_crds, directory=directory, rules=rules, proxy=proxy)


@pytest.fixture(scope="module")
def telemetry() -> str:
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def provider(
    ca: CertificateAuthority,
    store: KubernetesStore,
    telemetry: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[IdpProcess]:
    directory = tmp_path_factory.mktemp("provider")
    overrides = {"telemetry": {"http": telemetry}, "expiry": {"authCodes": "5m"}}
    config = provider_config(directory, ca=ca, store=store, overrides=overrides)
    with IdpProcess(config, cwd=directory, ca=ca) as running:
        yield running


@pytest.fixture
def party(provider: IdpProcess) -> Iterator[RelyingParty]:
    with provider.client() as http:
        yield example_party(http, provider.issuer)


@dataclass(frozen=True, slots=True)
class _Before:
    """What somebody held when the API server went away."""

    tokens: Tokens
    code: str
    attempt: Attempt


@pytest.fixture
def before(party: RelyingParty) -> _Before:
    tokens = party.sign_in(JANE.email, JANE.password)
    attempt = party.depart()
    location = submit_login(party.http, attempt.url, login=JANE.email, password=JANE.password)
    return _Before(tokens, party.code_of(location, attempt), attempt)


@pytest.mark.covers("K-1", "K-2")
@pytest.mark.parametrize(
    ("fault", "seconds"),
    [(Refuses(), _OUTAGE_SECONDS), (BlackHole(), _MUTE_SECONDS)],
    ids=["refused", "black hole"],
)
def test_what_needs_no_write_goes_on_and_nothing_is_spent(
    provider: IdpProcess,
    party: RelyingParty,
    proxy: FaultProxy,
    before: _Before,
    telemetry: str,
    fault: Fault,
    seconds: float,
) -> None:
    with proxy.meeting(fault):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            _assert_reads_go_on(party, before, telemetry)
            _assert_unavailable(lambda: _redeem(party, before))
            _assert_unavailable(lambda: _refresh(party, before.tokens.refresh_token))
            _assert_unavailable(lambda: _submit(party, JANE.password))
            assert _submit(party, "wrong").status_code == 401

    with Stopwatch() as watch:
        eventually(lambda: _redeem(party, before).status_code == 200, within=_RECOVERY_SECONDS)
        assert _refresh(party, before.tokens.refresh_token).status_code == 200
        assert party.sign_in(JANE.email, JANE.password).id_token
        assert watch.seconds < _RECOVERY_SECONDS
    _assert_nobody_was_taken_for_a_thief(provider)


@pytest.mark.covers("K-2", "K-3")
def test_changes_are_seen_again_soon_after_the_outage(
    party: RelyingParty, proxy: FaultProxy, store: KubernetesStore
) -> None:
    tokens = party.sign_in(JANE.email, JANE.password)
    grants = {grant["metadata"]["name"] for grant in store.grants()}
    with proxy.meeting(BlackHole()):
        time.sleep(1)
        # The provider cannot see it go; it must learn of it afterwards.
        store.kubectl("delete", "refreshgrants", *grants).check()
        assert party.userinfo(tokens.access_token).status_code == 200

    eventually(
        lambda: party.userinfo(tokens.access_token).status_code == 401, within=_RECOVERY_SECONDS
    )


@pytest.mark.covers("K-8")
@pytest.mark.parametrize("how", ["cut", "expired", "gone"])
def test_changes_made_while_watches_break_are_seen_and_nothing_is_forgotten(
    party: RelyingParty, proxy: FaultProxy, store: KubernetesStore, how: str
) -> None:
    kept, removed, added = (f"{name}-{how}" for name in ("kept", "removed", "added"))
    store.apply(_client(kept), _client(removed))
    eventually(lambda: _is_known(party, kept) and _is_known(party, removed), within=5)

    def is_seen() -> bool:
        assert _is_known(party, kept), "a list that was complete was given up for a broken one"
        return _is_known(party, added) and not _is_known(party, removed)

    with proxy.meeting(SaysGone()) if how == "gone" else nullcontext():
        proxy.expire_watches() if how == "expired" else proxy.cut_watches()
        store.kubectl("delete", "oidcclient", removed).check()
        store.apply(_client(added))
        eventually(is_seen, within=_RECOVERY_SECONDS)


@pytest.mark.covers("K-3")
def test_slow_api_server_costs_nobody_more_than_the_deadline(
    party: RelyingParty, proxy: FaultProxy, before: _Before, telemetry: str
) -> None:
    with proxy.meeting(Dawdles(5)):
        _assert_reads_go_on(party, before, telemetry)
        _assert_unavailable(lambda: _refresh(party, before.tokens.refresh_token))

    eventually(
        lambda: _refresh(party, before.tokens.refresh_token).status_code == 200,
        within=_RECOVERY_SECONDS,
    )


@pytest.mark.covers("K-4")
def test_throttled_requests_are_tried_once_more_and_then_passed_on(
    party: RelyingParty, proxy: FaultProxy, before: _Before
) -> None:
    name = before.tokens.refresh_token.partition(".")[0].removeprefix("kir_")
    earlier = Counter(proxy.asked)
    with proxy.meeting(Throttles(retry_after=1)):
        answer = _assert_unavailable(lambda: _refresh(party, before.tokens.refresh_token))
    asked = {path: times for (_, path), times in (proxy.asked - earlier).items() if name in path}

    assert int(answer.headers["retry-after"]) >= 1
    assert list(asked.values()) == [2]
    assert _refresh(party, before.tokens.refresh_token).status_code == 200


@pytest.mark.covers("K-4")
def test_throttle_of_a_minute_is_not_waited_for(
    party: RelyingParty, proxy: FaultProxy, before: _Before
) -> None:
    with proxy.meeting(Throttles(retry_after=60)), Stopwatch() as watch:
        answer = _refresh(party, before.tokens.refresh_token)
        took = watch.seconds

    assert answer.status_code == 503
    assert took < 1
    assert int(answer.headers["retry-after"]) >= 30


@pytest.mark.covers("K-5")
def test_third_of_all_requests_fails_and_hardly_anybody_notices(
    provider: IdpProcess, party: RelyingParty, proxy: FaultProxy, before: _Before
) -> None:
    rounds = sized(ci=60, full=2_000)
    token, failed = before.tokens.refresh_token, 0
    with proxy.meeting(Stumbles(share=0.3)):
        for _ in range(rounds):
            answer = _refresh(party, token)
            if answer.status_code == 200:
                token = answer.json()["refresh_token"]
            else:
                assert answer.status_code == 503, answer.text
                failed += 1

    print(f"{failed} of {rounds} refreshes failed")
    # 99.9 % succeed; of a few dozen one may be unlucky.
    assert failed <= max(1, rounds / 1_000)
    _assert_nobody_was_taken_for_a_thief(provider)


@pytest.mark.covers("K-6")
@pytest.mark.parametrize("by", ["reset", "silence"])
def test_lost_answer_is_never_taken_for_a_replay(
    provider: IdpProcess, party: RelyingParty, proxy: FaultProxy, before: _Before, by: str
) -> None:
    def lose() -> LosesAnswers:
        return LosesAnswers(by="reset" if by == "reset" else "silence", count=1)

    with proxy.meeting(lose()):
        assert _persistently(lambda: _redeem(party, before)).status_code == 200
    token = before.tokens.refresh_token
    for _ in range(3):
        with proxy.meeting(lose()):
            answer = _persistently(partial(_refresh, party, token))
        assert answer.status_code == 200
        token = answer.json()["refresh_token"]
    with proxy.meeting(lose()):
        sent = _persistently(lambda: _submit(party, JANE.password))
    assert sent.status_code == 303, sent.text
    assert _refresh(party, token).status_code == 200
    _assert_nobody_was_taken_for_a_thief(provider)


@pytest.mark.covers("K-6")
def test_answers_lost_for_seconds_spend_nothing_for_good(
    provider: IdpProcess, party: RelyingParty, proxy: FaultProxy, before: _Before
) -> None:
    redeemed = False
    with proxy.meeting(LosesAnswers()):
        until = time.monotonic() + 5
        while time.monotonic() < until:
            if not redeemed:
                answer = _redeem(party, before)
                assert answer.status_code in (200, 503), answer.text
                redeemed = answer.status_code == 200
            answer = _refresh(party, before.tokens.refresh_token)
            assert answer.status_code in (200, 503), answer.text

    assert redeemed or _redeem(party, before).status_code == 200
    assert _refresh(party, before.tokens.refresh_token).status_code == 200
    _assert_nobody_was_taken_for_a_thief(provider)


def _assert_reads_go_on(party: RelyingParty, before: _Before, telemetry: str) -> None:
    http = party.http
    assert http.get("/.well-known/openid-configuration").status_code == 200
    assert http.get("/keys").status_code == 200
    assert party.userinfo(before.tokens.access_token).status_code == 200
    assert party.token(grant_type="client_credentials", scope="openid").status_code == 200
    assert "<form" in http.get(party.depart().url).text
    for probe in ("live", "ready"):
        answer = httpx.get(f"http://{telemetry}/healthz/{probe}", trust_env=False)
        assert answer.status_code == 200, answer.text


def _assert_unavailable(ask: Callable[[], httpx.Response]) -> httpx.Response:
    with Stopwatch() as watch:
        answer = ask()
        took = watch.seconds
    assert answer.status_code == 503, answer.text
    assert took < _ANSWER_SECONDS
    assert int(answer.headers["retry-after"]) >= 1
    return answer


def _assert_nobody_was_taken_for_a_thief(provider: IdpProcess) -> None:
    said = {line["event"] for line in provider.log_lines()}
    assert not said & {"refresh_token_reused", "code_replayed", "unexpected_error"}


def _client(name: str) -> dict[str, object]:
    redirect_uri = "https://wiki.example.com/callback"
    return {
        "apiVersion": "kube-idp.dev/v1beta1",
        "kind": "OIDCClient",
        "metadata": {"name": name},
        "spec": {"clientID": name, "public": True, "redirectURIs": [redirect_uri]},
    }


def _is_known(party: RelyingParty, client_id: str) -> bool:
    redirect_uri = "https://wiki.example.com/callback"
    url = party.depart(client_id=client_id, redirect_uri=redirect_uri).url
    return party.http.get(url).status_code == 200


def _redeem(party: RelyingParty, before: _Before) -> httpx.Response:
    return party.token(
        grant_type="authorization_code",
        code=before.code,
        redirect_uri=party.redirect_uri,
        code_verifier=before.attempt.code_verifier,
    )


def _refresh(party: RelyingParty, token: str) -> httpx.Response:
    return party.token(grant_type="refresh_token", refresh_token=token)


def _submit(party: RelyingParty, password: str) -> httpx.Response:
    url = party.depart().url
    form = read_form(party.http.get(url).text)
    sent = {**form.fields, "login": JANE.email, "password": password}
    return party.http.post(urljoin(url, form.action), data=sent)


def _persistently(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """Ask again after a 503, as it says."""
    for _ in range(3):
        answer = ask()
        if answer.status_code != 503:
            return answer
    return answer
