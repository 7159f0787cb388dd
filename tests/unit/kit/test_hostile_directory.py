"""The hostile directory really does what it is told, and forgets nothing that it was sent."""

import socket
import time
from collections.abc import Iterator

import pytest

from tests.kit.directory_tree import (
    ALICE,
    BASE,
    PEOPLE,
    PEOPLE_BASE,
    SERVICE,
    STAR,
    Attributes,
    entries,
)
from tests.kit.hostile_directory import answers, ber, poison
from tests.kit.hostile_directory.behaviours import (
    AlsoRefers,
    Answers,
    AnswersAnother,
    Dawdles,
    HangsUp,
    Silence,
    Trickles,
)
from tests.kit.hostile_directory.requests import PASSWORD_POLICY, Bind, Search, Unbind
from tests.kit.hostile_directory.server import HostileDirectory
from tests.kit.servers.certificates import CertificateAuthority
from tests.unit.kit.raw_ldap import RawLdap, equal

_ALICE_OR_BOB = ber.element(0xA1, equal("uid", "alice"), equal("uid", "bob"))
_SEARCH_REFERENCE = 0x73
_DISABLED = (
    "80090308: LdapErr: DSID-0C09041C, comment: AcceptSecurityContext error, data 533, v2580"
)


@pytest.fixture(scope="module")
def ca() -> CertificateAuthority:
    return CertificateAuthority.create()


@pytest.fixture
def directory() -> Iterator[HostileDirectory]:
    with HostileDirectory(entries()) as running:
        yield running


@pytest.fixture
def client(directory: HostileDirectory) -> Iterator[RawLdap]:
    with RawLdap(directory) as connected:
        yield connected


def test_untold_it_is_an_honest_directory(client: RawLdap) -> None:
    found, done = client.search(PEOPLE_BASE, equal("uid", "ALICE"), "uid", "mail")

    assert client.bind(ALICE.dn, ALICE.password).result == 0
    assert client.bind(ALICE.dn, "wrong").result == 49
    assert client.bind(ALICE.dn, "").result == 49
    assert client.bind("uid=nobody", "").result == 49
    assert found.attributes == {"uid": [b"alice"], "mail": [each.encode() for each in ALICE.mail]}
    assert done.result == 0


def test_password_is_shown_to_nobody(client: RawLdap) -> None:
    everything, _ = client.search(BASE, equal("uid", "alice"))

    assert set(everything.attributes) == {"objectClass", "uid", "cn", "sn", "mail"}


def test_everything_sent_is_written_down(directory: HostileDirectory, client: RawLdap) -> None:
    client.bind(ALICE.dn, ALICE.password)
    client.search(BASE, ber.element(0xA0, equal("uid", STAR.uid), b"\x87\x04mail"), "cn")
    client.send(ber.sequence(ber.integer(9), b"\x42\x00"))

    bind, search, unbind = directory.seen().requests
    assert isinstance(bind, Bind)
    assert isinstance(search, Search)
    assert isinstance(unbind, Unbind)
    assert (bind.dn, bind.password) == (ALICE.dn, ALICE.password.encode())
    assert (search.base, search.scope, search.attributes) == (BASE, "sub", ["cn"])
    assert search.filter == r"(&(uid=a\2ab)(mail=*))"
    assert (bind.bound_as, search.bound_as, search.over_tls) == ("", ALICE.dn, False)
    assert bind.connection == search.connection == unbind.connection == 1


def test_what_is_still_on_its_way_is_waited_for(directory: HostileDirectory) -> None:
    """A client that sends and hangs up at once was here all the same."""
    for number in range(20):
        with RawLdap(directory) as client:
            client.send_bind(f"cn={number}", "secret")

    seen = directory.seen()

    assert len(seen.connections) == 20
    assert {bind.dn for bind in seen.of(Bind)} == {f"cn={number}" for number in range(20)}


def test_what_is_no_ldap_is_kept(directory: HostileDirectory, client: RawLdap) -> None:
    client.send(b"GET / HTTP/1.1\r\n")
    client.send(b"Host: directory\r\n\r\n")
    client.socket.close()

    (connection,) = directory.seen().connections
    assert connection.garbage == b"GET / HTTP/1.1\r\nHost: directory\r\n\r\n"
    assert directory.seen().requests == []


@pytest.mark.parametrize("operation", ["bind", "search"])
def test_silence_reads_on_and_says_nothing(
    directory: HostileDirectory, client: RawLdap, operation: str
) -> None:
    directory.tell("bind", Silence())
    directory.tell("search", Silence())

    if operation == "bind":
        client.send_bind(ALICE.dn, ALICE.password)
    else:
        client.send_search(BASE, _ALICE_OR_BOB)

    assert len(directory.seen().requests) == 1
    client.socket.settimeout(0.05)
    with pytest.raises(TimeoutError):
        client.receive()


def test_silence_at_the_door_reads_nothing(directory: HostileDirectory) -> None:
    directory.tell("connect", Silence())

    with RawLdap(directory) as client:
        client.send_bind(ALICE.dn, ALICE.password)
        seen = directory.seen()
        client.socket.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.receive()

    assert [each.is_open for each in seen.connections] == [True]
    assert seen.requests == []


def test_trickle_is_the_truth_by_the_byte(directory: HostileDirectory, client: RawLdap) -> None:
    directory.tell("bind", Trickles(seconds_per_byte=0.02))
    began = time.monotonic()

    answer = client.bind(ALICE.dn, ALICE.password)

    assert answer.result == 0
    # Fourteen bytes, with a wait between two of them.
    assert time.monotonic() - began >= 13 * 0.02


def test_dawdling_is_the_truth_later(directory: HostileDirectory, client: RawLdap) -> None:
    directory.tell("search", Dawdles(0.1))
    began = time.monotonic()

    assert len(client.search(BASE, _ALICE_OR_BOB)) == 3
    assert time.monotonic() - began >= 0.1


@pytest.mark.parametrize(("how", "error"), [("close", EOFError), ("reset", ConnectionResetError)])
@pytest.mark.parametrize("operation", ["bind", "search"])
def test_hanging_up_is_done_in_the_place_of_an_answer(
    directory: HostileDirectory,
    client: RawLdap,
    operation: str,
    how: str,
    error: type[Exception],
) -> None:
    directory.tell("bind", HangsUp("reset" if how == "reset" else "close"))
    directory.tell("search", HangsUp("reset" if how == "reset" else "close"))

    if operation == "bind":
        client.send_bind(ALICE.dn, ALICE.password)
    else:
        client.send_search(BASE, _ALICE_OR_BOB)

    with pytest.raises(error):
        client.receive()


def test_notice_of_disconnection_comes_before_the_end(
    directory: HostileDirectory, client: RawLdap
) -> None:
    directory.tell("search", HangsUp("notice"))

    client.send_search(BASE, _ALICE_OR_BOB)

    notice = client.answer()
    assert (notice.message_id, notice.operation.tag, notice.result) == (0, 0x78, 52)
    assert notice.operation.children[-1].text == "1.3.6.1.4.1.1466.20036"
    with pytest.raises(EOFError):
        client.answer()


@pytest.mark.parametrize(
    ("how", "error"),
    [("close", EOFError), ("reset", ConnectionResetError), ("notice", EOFError)],
)
def test_idle_connections_can_be_ended(
    directory: HostileDirectory, client: RawLdap, how: str, error: type[Exception]
) -> None:
    client.bind(ALICE.dn, ALICE.password)

    match how:
        case "close":
            directory.hang_up("close")
        case "reset":
            directory.hang_up("reset")
        case _:
            directory.hang_up("notice")
            assert client.answer().message_id == 0

    with pytest.raises(error):
        client.receive()
    with RawLdap(directory) as next_one:
        assert next_one.bind(ALICE.dn, ALICE.password).result == 0
    assert [each.is_open for each in directory.seen().connections] == [False, False]


def test_refused_connections_come_again_on_the_same_port(
    directory: HostileDirectory, client: RawLdap
) -> None:
    client.bind(ALICE.dn, ALICE.password)
    directory.refuse()

    with pytest.raises(ConnectionRefusedError):
        RawLdap(directory)
    with pytest.raises(ConnectionResetError):
        client.receive()
    directory.listen()
    with RawLdap(directory) as again:
        assert again.bind(ALICE.dn, ALICE.password).result == 0


def test_orders_are_for_a_while_and_for_some(directory: HostileDirectory, client: RawLdap) -> None:
    directory.tell("bind", Answers(result=51), times=2)
    directory.tell(
        "search",
        Answers(result=4),
        when=lambda request: isinstance(request, Search) and "bob" in request.filter,
    )

    results = [client.bind(ALICE.dn, ALICE.password).result for _ in range(3)]
    of_alice = client.search(BASE, equal("uid", "alice"))[-1].result
    of_bob = client.search(BASE, equal("uid", "bob"))[-1].result
    directory.behave()

    assert results == [51, 51, 0]
    assert (of_alice, of_bob) == (0, 4)
    assert client.search(BASE, equal("uid", "bob"))[-1].result == 0


def test_any_result_with_any_text(directory: HostileDirectory, client: RawLdap) -> None:
    directory.tell("bind", Answers(result=49, text=_DISABLED))

    answer = client.bind(ALICE.dn, ALICE.password)

    assert (answer.result, answer.text) == (49, _DISABLED)


def test_told_success_binds_nobody(directory: HostileDirectory, client: RawLdap) -> None:
    directory.tell("bind", Answers(result=0))
    client.bind(ALICE.dn, "wrong")
    client.search(BASE, _ALICE_OR_BOB)

    assert [each.bound_as for each in directory.seen().of(Search)] == [""]


def test_password_policy_speaks(directory: HostileDirectory, client: RawLdap) -> None:
    locked = answers.password_policy(error=1)
    grace = answers.password_policy(grace_binds=2)
    directory.tell("bind", Answers(result=49, controls=[locked]), times=1)
    directory.tell("bind", Answers(result=0, controls=[grace]), times=1)

    first, second = (client.bind(ALICE.dn, ALICE.password) for _ in range(2))

    assert first.controls == {PASSWORD_POLICY: bytes.fromhex("3003810101")}
    assert second.controls == {PASSWORD_POLICY: bytes.fromhex("3005a003810102")}


@pytest.mark.parametrize("name", poison.MALFORMED_POLICIES)
def test_password_policy_stammers(directory: HostileDirectory, client: RawLdap, name: str) -> None:
    control = poison.MALFORMED_POLICIES[name]
    directory.tell("bind", Answers(result=0, controls=[control]))

    assert client.bind(ALICE.dn, ALICE.password).controls == {PASSWORD_POLICY: control.value}


def test_referral_goes_elsewhere_and_nobody_follows(
    directory: HostileDirectory, client: RawLdap
) -> None:
    with HostileDirectory() as elsewhere:
        directory.tell("bind", Answers(result=10, referrals=[elsewhere.url]))
        directory.tell("search", AlsoRefers([f"{elsewhere.url}/dc=example,dc=org"]))

        bind = client.bind(ALICE.dn, ALICE.password)
        reference, alice, bob, done = client.search(BASE, _ALICE_OR_BOB)

        assert elsewhere.seen().connections == []

    assert bind.result == 10
    assert bind.operation.children[3].children[0].text == elsewhere.url
    assert reference.operation.tag == _SEARCH_REFERENCE
    assert reference.operation.children[0].text == f"{elsewhere.url}/dc=example,dc=org"
    assert [alice.attributes["uid"], bob.attributes["uid"]] == [[b"alice"], [b"bob"]]
    assert done.result == 0


def test_elsewhere_would_have_noticed(directory: HostileDirectory) -> None:
    """The check of the test before can fail: one connection without a byte is seen."""
    with socket.create_connection(("127.0.0.1", directory.port)):
        pass

    assert len(directory.seen().connections) == 1


def test_wrong_message_id(directory: HostileDirectory, client: RawLdap) -> None:
    directory.tell("search", AnswersAnother(off_by=7))

    asked = client.send_search(BASE, _ALICE_OR_BOB)

    assert {each.message_id for each in client.answers()} == {asked + 7}


def test_pages_follow_each_other(directory: HostileDirectory, client: RawLdap) -> None:
    names: list[bytes] = []
    cookie = b""
    while True:
        client.send_search(BASE, b"\x87\x03uid", "uid", page=(4, cookie))
        *found, done = client.answers()
        names += [each.attributes["uid"][0] for each in found]
        (value,) = done.controls.values()
        cookie = ber.read(value or b"").children[1].content
        if not cookie:
            break

    pages = [each.page for each in directory.seen().of(Search)]
    assert names == [person.uid.encode() for person in (SERVICE, *PEOPLE)]
    assert all(page is not None and page.size == 4 for page in pages)
    assert len(pages) == -(-len(names) // 4)


@pytest.mark.parametrize(
    "told", [Silence(), Answers(result=4, entries=1)], ids=["silence", "limit"]
)
def test_page_may_never_come_or_break_off(
    directory: HostileDirectory, client: RawLdap, told: Silence | Answers
) -> None:
    directory.tell("search", told, when=_is_later_page)

    client.send_search(BASE, b"\x87\x03uid", page=(2, b""))
    first = client.answers()
    client.send_search(BASE, b"\x87\x03uid", page=(2, b"2"))

    assert len(first) == 3
    if isinstance(told, Answers):
        entry, done = client.answers()
        assert (entry.operation.tag, done.result) == (0x64, 4)
    else:
        client.socket.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.receive()


def test_many_values_come_in_ranges() -> None:
    members = [f"uid={number}" for number in range(3200)]
    group: tuple[str, Attributes] = ("cn=all", {"cn": ["all"], "member": members})
    found: list[bytes] = []
    with HostileDirectory([group], values_at_most=1500) as directory, RawLdap(directory) as client:
        name = "member"
        while True:
            entry, _ = client.search("cn=all", equal("cn", "all"), name)
            ((name, values),) = entry.attributes.items()
            found += values
            if name.endswith("-*"):
                break
            name = f"member;range={len(found)}-*"

    assert name == "member;range=3000-*"
    assert [value.decode() for value in found] == members


def _is_later_page(request: object) -> bool:
    return isinstance(request, Search) and request.page is not None and request.page.cookie != b""
