"""Thousands of requests out of a grammar against a running provider: nothing breaks.

`make fuzz` sends more. A run prints its seed; what it finds is written down in `found.py`, by seed
and number, and sent again by every later run.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import pytest

from tests.fuzz.found import FOUND
from tests.fuzz.grammar import GET_PATHS, POST_PATHS, Grammar, Request
from tests.fuzz.target import REDIRECTS, Target
from tests.fuzz.wire import Answer, send_all
from tests.kit.sizes import counted

pytestmark = pytest.mark.servers

REQUESTS = counted("KUBE_IDP_FUZZ", ci=20_000, full=500_000)
SEED = counted("KUBE_IDP_FUZZ_SEED", ci=secrets.randbelow(10**9), full=secrets.randbelow(10**9))
_BATCH = 2_000
_HARMLESS = (5, 3, "nothing: one that is sent again although nobody has found anything in it")
_MIB = 2**20
# Of the transport, about the request itself: a version that is not served (RFC 9110, 15.6.6).
_OF_THE_REQUEST = frozenset({505})


@dataclass(slots=True)
class Findings:
    """What was wrong with answers, and which answers there were."""

    wrong: list[str] = field(default_factory=list)
    seen: Counter[tuple[str, int]] = field(default_factory=Counter)

    def judge(self, request: Request, answer: Answer) -> None:
        """Take in one answer."""
        self.seen[request.path, answer.status] += 1
        for problem in _problems(request, answer):
            self.wrong.append(f"request {request.number}: {problem}: {request.start[:300]!r}")


def _problems(request: Request, answer: Answer) -> Iterator[str]:
    if answer.status == 0 and request.sound:
        yield "no answer"
    if answer.status >= 500 and answer.status not in _OF_THE_REQUEST:
        yield f"{answer.status} {answer.body[:200]!r}"
    if b"Traceback" in answer.body:
        yield "a traceback"
    if any(name.startswith("x-injected") for name, _ in answer.headers):
        yield "a header of the sender"
    location = answer.header("location")
    if location is not None and not _is_home(location):
        yield f"a redirect to {location}"


def _is_home(location: str) -> bool:
    own = location.startswith("/") and not location.startswith(("//", "/\\"))
    return own or location.startswith(REDIRECTS)


def _send(target: Target, requests: Iterable[Request]) -> Findings:
    """Send requests in batches, signing in anew before each."""
    findings = Findings()
    host, port = target.address
    waiting = iter(requests)
    while batch := list(islice(waiting, _BATCH)):
        target.sign_in()
        asyncio.run(
            send_all(batch, host=host, port=port, fill=target.values_for, judge=findings.judge)
        )
    return findings


def _host(target: Target) -> str:
    return "{}:{}".format(*target.address)


def _faults_in(log: Path) -> list[str]:
    text = log.read_text(errors="replace")
    return [line for line in text.splitlines() if "Traceback" in line or '"ERROR"' in line]


@pytest.mark.timeout(7200)
@pytest.mark.covers("R-62", "R-63", "R-82", "R-84", "CV-9", "CV-36", "I-6")
def test_no_request_breaks_anything(target: Target, log: Path) -> None:
    print(f"\nseed {SEED}, {REQUESTS} requests")
    grammar = Grammar(SEED, _host(target))
    warm = _send(target, map(grammar.request, range(_BATCH)))
    held = target.resident_bytes()
    findings = _send(target, map(grammar.request, range(_BATCH, REQUESTS)))
    grown = target.resident_bytes() - held
    print(f"memory {held / _MIB:.1f} MiB, {grown / _MIB:+.1f} MiB after {REQUESTS} requests")
    assert [*warm.wrong, *findings.wrong][:20] == [], f"seed {SEED}"
    assert _faults_in(log) == [], f"seed {SEED}"
    assert grown < 24 * _MIB
    with target.idp.client() as http:
        assert http.get("/healthz").status_code == 200
    _check_reach(findings)


def _check_reach(findings: Findings) -> None:
    """A run that reaches nothing would show nothing: every endpoint must have done its work."""
    statuses = Counter[int]()
    for (_, status), count in findings.seen.items():
        statuses[status] += count
    assert {200, 303, 400, 401, 404, 405, 413, 421} <= statuses.keys(), statuses
    for path in {*GET_PATHS, *POST_PATHS}:
        answered = {status for (asked, status) in findings.seen if asked == path}
        assert answered & {200, 303}, (path, answered)


@pytest.mark.covers("CV-36")
@pytest.mark.parametrize(("seed", "number", "what"), [*FOUND, _HARMLESS])
def test_what_was_found_once_is_not_found_again(
    target: Target, log: Path, seed: int, number: int, what: str
) -> None:
    request = Grammar(seed, _host(target)).request(number)
    findings = _send(target, [request] * 3)
    assert findings.wrong == [], what
    assert _faults_in(log) == [], what
