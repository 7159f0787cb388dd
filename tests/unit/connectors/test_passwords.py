"""Hashes that are accepted, passwords that are not, and a queue that has an end."""

import asyncio
import base64
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import BadCredentials, ConnectorUnavailable
from connectors.passwords import (
    NEW_HASHES,
    Argon2id,
    Bcrypt,
    PasswordHasher,
    UnusableHash,
    UnusablePassword,
    dummy_hash_like,
    hash_kind,
    new_hash,
    verify,
)
from tests.kit.connectors import cheap_hash

DEX_EXAMPLE = "$2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W"
"""The hash of `password` in Dex's example configuration."""

SLOW_ENOUGH_TO_PILE_UP = "$argon2id$v=19$m=32768,t=6,p=1$c2FsdHNhbHRzYWx0$" + "A" * 43

is_refused = pytest.mark.parametrize(
    "password",
    ["", "\x00", "pass\x00word", "\ud800", "word\udfff", "a" * 1025, "é" * 513, "日" * 342],
    ids=lambda password: ascii(password)[:40],
)


def test_the_example_of_dex_is_accepted() -> None:
    verify("password", DEX_EXAMPLE)
    with pytest.raises(BadCredentials):
        verify("Password", DEX_EXAMPLE)


@pytest.mark.parametrize("prefix", ["$2a$", "$2b$", "$2y$"])
def test_each_spelling_of_bcrypt_is_accepted(prefix: str) -> None:
    verify("password", prefix + DEX_EXAMPLE[4:])


def test_a_new_hash_is_argon2id_of_the_decided_cost() -> None:
    hashed = new_hash("pässwörd")
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert hash_kind(hashed) == NEW_HASHES == Argon2id(memory=19456, passes=2, lanes=1)
    verify("pässwörd", hashed)
    with pytest.raises(BadCredentials):
        verify("passwörd", hashed)


def test_two_hashes_of_one_password_differ_by_their_salt() -> None:
    assert new_hash("same") != new_hash("same")
    assert new_hash("same", random=lambda n: b"s" * n) == new_hash(
        "same", random=lambda n: b"s" * n
    )


@pytest.mark.covers("R-76")
@is_refused
def test_what_can_be_nobodys_password_has_no_hash(password: str) -> None:
    with pytest.raises(UnusablePassword):
        new_hash(password)


@pytest.mark.covers("R-76")
@is_refused
def test_what_can_be_nobodys_password_is_wrong(password: str) -> None:
    with pytest.raises(BadCredentials):
        verify(password, cheap_hash("password"))


@pytest.mark.covers("R-76")
def test_a_kilobyte_is_a_password() -> None:
    verify("é" * 512, cheap_hash("é" * 512))


@pytest.mark.covers("R-76")
def test_bcrypt_does_not_cut_a_long_password_silently() -> None:
    hashed = bcrypt.hashpw(b"a" * 72, bcrypt.gensalt(10)).decode()
    verify("a" * 72, hashed)
    for longer in ("a" * 73, "a" * 72 + "b", "a" * 71 + "é"):
        with pytest.raises(BadCredentials, match="72 bytes"):
            verify(longer, hashed)


@pytest.mark.covers("R-67", "R-76")
@pytest.mark.parametrize(
    "password",
    ["", "a" * 5000, "pass\x00word", "\ud800", "a" * 73],
    ids=lambda password: ascii(password)[:40],
)
def test_a_refused_password_costs_what_a_wrong_one_does(password: str) -> None:
    hashed = dummy_hash_like([DEX_EXAMPLE])

    def seconds(typed: str) -> float:
        started = time.thread_time()
        with pytest.raises(BadCredentials):
            verify(typed, hashed)
        return time.thread_time() - started

    # The best of several: a collection of garbage may come in between, and costs as much.
    wrong = min(seconds("wrong") for _ in range(3))
    assert min(seconds(password) for _ in range(3)) > wrong / 2


@pytest.mark.parametrize(
    "password_hash",
    [
        "",
        "password",
        DEX_EXAMPLE + "\n",
        " " + DEX_EXAMPLE,
        DEX_EXAMPLE[:-1],
        DEX_EXAMPLE + "A",
        DEX_EXAMPLE[:-1] + "X",
        DEX_EXAMPLE[:28] + "A" + DEX_EXAMPLE[29:],
        "$2x$" + DEX_EXAMPLE[4:],
        "$2$" + DEX_EXAMPLE[4:],
        "$2a$09$" + DEX_EXAMPLE[7:],
        "$2a$17$" + DEX_EXAMPLE[7:],
        "$2a$31$" + DEX_EXAMPLE[7:],
        "$2a$1e$" + DEX_EXAMPLE[7:],
        "$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$" + "A" * 43,
        "$argon2id$v=16$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$" + "A" * 43,
        "$argon2id$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$" + "A" * 43,
        "$argon2id$v=19$m=7,t=1,p=1$c2FsdHNhbHRzYWx0$" + "A" * 43,
        "$argon2id$v=19$m=8,t=1,p=2$c2FsdHNhbHRzYWx0$" + "A" * 43,
        "$argon2id$v=19$m=8,t=0,p=1$c2FsdHNhbHRzYWx0$" + "A" * 43,
        "$argon2id$v=19$m=08,t=1,p=1$c2FsdHNhbHRzYWx0$" + "A" * 43,
        "$argon2id$v=19$m=1048576,t=1,p=1$c2FsdHNhbHRzYWx0$" + "A" * 43,
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$" + "A" * 43,
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$" + "A" * 42 + "B",
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$" + "A" * 41,
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$" + "A" * 43 + "=",
        "$5$rounds=5000$saltsalt$" + "A" * 43,
        "$2a$10$" + "é" * 53,
    ],
)
def test_what_is_no_hash_is_refused_without_being_repeated(password_hash: str) -> None:
    for check in (hash_kind, lambda text: verify("password", text)):
        with pytest.raises(UnusableHash) as refusal:
            check(password_hash)
        assert "A" * 8 not in str(refusal.value)
        assert "2cU8CPhO" not in str(refusal.value)


@given(st.text())
def test_any_text_is_a_hash_or_a_refusal(text: str) -> None:
    with pytest.raises(UnusableHash):
        hash_kind(text)


@given(st.integers(8, 24), st.integers(16, 48))
def test_whatever_is_taken_for_argon2id_can_be_checked(salt: int, digest: int) -> None:
    parts = [base64.b64encode(b"x" * n).rstrip(b"=").decode() for n in (salt, digest)]
    hashed = f"$argon2id$v=19$m=8,t=1,p=1${parts[0]}${parts[1]}"
    assert hash_kind(hashed) == Argon2id(8, 1, 1)
    with pytest.raises(BadCredentials):
        verify("password", hashed)


@pytest.mark.covers("R-67")
@pytest.mark.parametrize(
    ("hashes", "kind"),
    [
        ([], NEW_HASHES),
        ([DEX_EXAMPLE], Bcrypt(10)),
        ([cheap_hash("a"), DEX_EXAMPLE, DEX_EXAMPLE], Bcrypt(10)),
        ([DEX_EXAMPLE, cheap_hash("a"), cheap_hash("b")], Argon2id(8, 1, 1)),
        (["$2b$12$" + DEX_EXAMPLE[7:]], Bcrypt(12)),
    ],
)
def test_a_dummy_hash_costs_what_most_cost_and_has_no_password(
    hashes: list[str], kind: Bcrypt | Argon2id
) -> None:
    dummy = dummy_hash_like(hashes)
    assert hash_kind(dummy) == kind
    assert dummy != dummy_hash_like(hashes)
    with pytest.raises(BadCredentials):
        verify("password", dummy)


def test_without_memory_for_the_check_nobody_can_say() -> None:
    script = """
        import resource
        from connectors.base import ConnectorUnavailable
        from connectors.passwords import verify
        resource.setrlimit(resource.RLIMIT_AS, (400_000_000, 400_000_000))
        ballast = bytearray(200_000_000)
        try:
            verify("wrong", "$argon2id$v=19$m=262144,t=1,p=1$c2FsdHNhbHRzYWx0$" + "A" * 43)
        except ConnectorUnavailable:
            print("unavailable")
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=True)
    assert outcome.stdout == "unavailable\n"


def test_the_queue_is_as_long_as_it_is_said_to_be() -> None:
    async def flood(hasher: PasswordHasher) -> list[BaseException | None]:
        tries = [hasher.verify("password", SLOW_ENOUGH_TO_PILE_UP) for _ in range(10)]
        return await asyncio.gather(*tries, return_exceptions=True)

    hasher = PasswordHasher(running=1, waiting=2)
    outcomes = [type(outcome) for outcome in asyncio.run(flood(hasher))]
    assert outcomes == [BadCredentials] * 3 + [ConnectorUnavailable] * 7
    asyncio.run(hasher.verify("password", cheap_hash("password")))
    hasher.close()


def test_whoever_stops_waiting_leaves_the_queue() -> None:
    async def impatient() -> None:
        hasher = PasswordHasher(running=1, waiting=1)
        running = asyncio.ensure_future(hasher.verify("password", SLOW_ENOUGH_TO_PILE_UP))
        waiting = asyncio.ensure_future(hasher.verify("password", SLOW_ENOUGH_TO_PILE_UP))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        await hasher.verify("password", cheap_hash("password"))
        with pytest.raises(BadCredentials):
            await running
        hasher.close()

    asyncio.run(impatient())


def test_whoever_stops_waiting_for_a_running_check_still_takes_its_place() -> None:
    # A second of work: it must have begun, and not be done, when somebody else comes.
    slow = SLOW_ENOUGH_TO_PILE_UP.replace("t=6", "t=20")

    async def impatient() -> None:
        hasher = PasswordHasher(running=1, waiting=0)
        running = asyncio.ensure_future(hasher.verify("password", slow))
        await asyncio.sleep(0.1)
        running.cancel()
        with pytest.raises(ConnectorUnavailable):
            await hasher.verify("password", cheap_hash("password"))
        hasher.close()

    asyncio.run(impatient())


def test_a_closed_hasher_is_unavailable() -> None:
    hasher = PasswordHasher(running=1, waiting=1)
    hasher.close()
    for _ in range(5):
        with pytest.raises(ConnectorUnavailable, match="stopping"):
            asyncio.run(hasher.verify("password", cheap_hash("password")))


def test_checks_run_in_threads_of_the_hasher_only() -> None:
    async def busy(hasher: PasswordHasher) -> set[str]:
        tries = [hasher.verify("password", cheap_hash("password")) for _ in range(20)]
        await asyncio.gather(*tries)
        return {thread.name for thread in threading.enumerate() if thread not in before}

    before = threading.enumerate()
    hasher = PasswordHasher(running=2, waiting=20)
    names = {name for name in asyncio.run(busy(hasher)) if name.startswith("password")}
    assert 1 <= len(names) <= 2
    hasher.close()


def median(seconds: list[float]) -> float:
    return sorted(seconds)[len(seconds) // 2]


@pytest.mark.servers
@pytest.mark.covers("R-67", "CV-6")
@pytest.mark.parametrize("make", [new_hash, lambda password: DEX_EXAMPLE])
def test_an_unknown_name_takes_as_long_as_a_wrong_password(make: Callable[[str], str]) -> None:
    known = make("password")
    unknown = dummy_hash_like([known])
    times: dict[str, list[float]] = {known: [], unknown: []}
    for _ in range(40):
        for password_hash, seconds in times.items():
            started = time.thread_time()
            with pytest.raises(BadCredentials):
                verify("wrong", password_hash)
            seconds.append(time.thread_time() - started)
    difference = abs(median(times[known]) - median(times[unknown]))
    assert difference < 0.05 * median(times[known])
