"""The door to ldap3: what goes out, what comes in, and that nothing of ldap3 gets past it."""

import inspect
import warnings
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import ConnectorUnavailable
from connectors.ldap import ber
from connectors.ldap.errors import Malformed
from connectors.ldap.filters import Equals
from connectors.ldap.messages import (
    BIND_ENDS,
    EXTENDED_ENDS,
    SEARCH_ENDS,
    UNSOLICITED,
    Ending,
    Reference,
    bind_request,
    decode,
    own_words,
    search_request,
    start_tls_request,
    unbind_request,
)
from connectors.ldap.operations import Entry, PasswordPolicy, Result, Search
from tests.kit.hostile_directory import answers, poison
from tests.kit.hostile_directory.requests import (
    Bind,
    Control,
    Extended,
    Page,
    Unbind,
    read_request,
)
from tests.kit.hostile_directory.requests import Search as SeenSearch

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import ldap3
    from ldap3.core import exceptions
    from ldap3.operation.bind import bind_operation
    from ldap3.operation.search import search_operation
    from ldap3.protocol.rfc4511 import LDAPMessage, MessageID, ProtocolOp
    from ldap3.utils.asn1 import encode


def sent(raw: bytes) -> object:
    return read_request(raw, connection=1, over_tls=False, bound_as="")


def of_ldap3(kind: str, operation: object) -> bytes:
    """Write a message as ldap3 would have."""
    message = LDAPMessage()
    message["messageID"] = MessageID(5)
    message["protocolOp"] = ProtocolOp().setComponentByName(kind, operation)
    return bytes(encode(message))


@given(
    base=st.text(st.characters(codec="utf-8"), min_size=1, max_size=200),
    value=st.binary(max_size=300).filter(lambda value: b"\\" not in value),
    attributes=st.lists(st.sampled_from(["cn", "mail", "entryUUID", "1.1"]), min_size=1),
)
def test_a_search_is_sent_as_ldap3_would_send_it(
    base: str, value: bytes, attributes: list[str]
) -> None:
    asked = Search(
        base_dn=base,
        scope="sub",
        filter=Equals("cn", value),
        attributes=tuple(attributes),
        most=2,
    )
    escaped = "".join(f"\\{octet:02x}" for octet in value)
    theirs = search_operation(
        base, f"(cn={escaped})", ldap3.SUBTREE, ldap3.DEREF_NEVER, attributes, 2, 8,
        False, False, True,  # noqa: FBT003
    )  # fmt: skip
    assert search_request(5, asked) == of_ldap3("searchRequest", theirs)


def test_a_bind_is_sent_as_ldap3_would_send_it_and_asks_for_policy() -> None:
    theirs = of_ldap3("bindRequest", bind_operation(3, ldap3.SIMPLE, "cn=x,dc=y", b"secret"))
    ours = bind_request(5, "cn=x,dc=y", b"secret")
    # The same operation; behind ours stands the control.
    assert theirs[2:] == ours[2 : len(theirs)]
    request = sent(ours)
    assert isinstance(request, Bind)
    assert [control.oid for control in request.controls] == ["1.3.6.1.4.1.42.2.27.8.5.1"]
    assert not request.controls[0].is_critical


@pytest.mark.covers("L-10", "CV-23")
@pytest.mark.parametrize(("dn", "password"), [("", b"x"), ("cn=x", b""), ("", b"")])
def test_no_bind_as_nobody_can_be_written(dn: str, password: bytes) -> None:
    with pytest.raises(ValueError, match="a name and a password"):
        bind_request(1, dn, password)


def test_pages_are_asked_for_by_their_cookie() -> None:
    asked = Search(base_dn="dc=x", scope="one", page_size=500)
    request = sent(search_request(300, asked, b"\x01\x02"))
    assert isinstance(request, SeenSearch)
    assert request.page == Page(size=500, cookie=b"\x01\x02")
    assert (request.scope, request.filter, request.message_id) == ("one", "(objectClass=*)", 300)


def test_start_tls_and_the_farewell() -> None:
    asked, farewell = sent(start_tls_request(1)), sent(unbind_request(2))
    assert isinstance(asked, Extended)
    assert asked.oid == "1.3.6.1.4.1.1466.20037"
    assert isinstance(farewell, Unbind)


def test_entries_have_names_in_lower_case_and_values_as_they_are() -> None:
    answer = answers.message(7, answers.entry("cn=é", {"CN": ["é"], "objectGUID": [b"\xff\0"]}))
    assert decode(answer, SEARCH_ENDS) == (
        7,
        Entry(dn="cn=é", attributes={"cn": ("é".encode(),), "objectguid": (b"\xff\0",)}),
    )


def test_references_and_notices_are_known() -> None:
    reference = answers.message(7, answers.reference(["ldap://elsewhere"]))
    assert isinstance(decode(reference, SEARCH_ENDS)[1], Reference)
    number, answer = decode(answers.notice_of_disconnection(), BIND_ENDS)
    assert number == UNSOLICITED
    assert isinstance(answer, Result)


@pytest.mark.covers("L-14")
@pytest.mark.parametrize(
    ("tag", "ending"),
    [
        (answers.SEARCH_DONE, BIND_ENDS),
        (answers.EXTENDED, BIND_ENDS),
        (answers.BIND, SEARCH_ENDS),
        (answers.BIND, EXTENDED_ENDS),
    ],
)
def test_success_of_something_else_is_no_success(tag: int, ending: Ending) -> None:
    with pytest.raises(Malformed):
        decode(answers.message(7, answers.result(tag, 0)), ending)


@pytest.mark.parametrize("ending", [BIND_ENDS, EXTENDED_ENDS])
def test_entries_answer_searches_only(ending: Ending) -> None:
    with pytest.raises(Malformed):
        decode(answers.message(7, answers.entry("cn=x", {"cn": ["x"]})), ending)


def test_a_result_has_code_name_words_and_controls() -> None:
    done = answers.result(answers.SEARCH_DONE, 4, text="too\0 many\nof them\0")
    _, answer = decode(answers.message(7, done, [answers.paged(b"next")]), SEARCH_ENDS)
    assert answer == Result(
        code=4, name="sizeLimitExceeded", diagnostic="too  many of them", cookie=b"next"
    )
    assert str(answer) == "result 4 (sizeLimitExceeded): too  many of them"


@pytest.mark.covers("L-16")
@pytest.mark.parametrize(
    ("control", "policy"),
    [
        (answers.password_policy(), PasswordPolicy()),
        (answers.password_policy(error=1), PasswordPolicy(error=1)),
        (answers.password_policy(grace_binds=3), PasswordPolicy(grace=3)),
        (
            answers.password_policy(seconds_left=86400, error=2),
            PasswordPolicy(error=2, expires_in=86400),
        ),
        (Control("2.16.840.1.113730.3.4.4", b"0"), PasswordPolicy(error=0)),
    ],
)
def test_what_password_policies_say(control: Control, policy: PasswordPolicy) -> None:
    ended = answers.result(answers.BIND, 49)
    _, answer = decode(answers.message(7, ended, [control]), BIND_ENDS)
    assert isinstance(answer, Result)
    assert answer.policy == policy


@pytest.mark.covers("L-14", "CV-26")
@pytest.mark.parametrize("name", poison.MALFORMED_POLICIES)
def test_a_malformed_policy_is_malformed_or_says_nothing(name: str) -> None:
    ended = answers.result(answers.BIND, 49)
    message = answers.message(7, ended, [poison.MALFORMED_POLICIES[name]])
    try:
        _, answer = decode(message, BIND_ENDS)
    except Malformed:
        return
    assert isinstance(answer, Result)
    assert answer.policy.error in (None, 99, 0x7F7F7F7F7F7F7F7F)


@pytest.mark.covers("L-14")
@given(octets=st.binary(max_size=80))
def test_garbage_is_malformed_and_nothing_else(octets: bytes) -> None:
    message = ber.element(ber.SEQUENCE, octets)
    try:
        ber.check(message)
        decode(message, SEARCH_ENDS)
    except Malformed:
        pass


@pytest.mark.covers("L-14")
@given(data=st.data())
def test_an_answer_with_any_octet_changed_is_malformed_or_an_answer(data: st.DataObject) -> None:
    entry = answers.entry("cn=x", {"cn": ["x"], "mail": ["a", "b"]})
    message = bytearray(answers.message(7, entry, [answers.paged(b"x")]))
    at = data.draw(st.integers(0, len(message) - 1))
    message[at] = data.draw(st.integers(0, 255))
    try:
        ber.check(bytes(message))
        decode(bytes(message), SEARCH_ENDS)
    except Malformed:
        pass


def exception_classes() -> Iterator[type[BaseException]]:
    """Yield every class of exception that ldap3 has, the results of operations with them."""
    for _, found in inspect.getmembers(exceptions, inspect.isclass):
        if issubclass(found, BaseException) and found.__module__ == exceptions.__name__:
            yield found


def test_there_are_exceptions_of_ldap3_to_be_mapped() -> None:
    assert len(list(exception_classes())) > 80


@pytest.mark.parametrize("foreign", list(exception_classes()), ids=lambda found: found.__name__)
def test_no_exception_of_ldap3_gets_past_the_door(foreign: type[BaseException]) -> None:
    with pytest.raises(ConnectorUnavailable) as stopped, own_words():
        raise foreign("dc=secret")
    assert isinstance(stopped.value, Malformed)
    assert "secret" not in str(stopped.value)
    assert stopped.value.__cause__ is None
