"""Which attribute becomes what of a person, and how they are found again."""

import json
import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import AccessRefused, Identity
from connectors.ldap.config import DN, UserSearch
from connectors.ldap.errors import ValueUnreadable
from connectors.ldap.operations import Entry
from connectors.ldap.people import AttributeMissing, attributes_of, identity_of, text_of_value
from connectors.ldap.remembered import Remembered, read, remember, written

SEARCH = UserSearch(
    base_dn="dc=x",
    username_attrs=("uid",),
    name_attr="cn",
    preferred_username_attr="uid",
    claims=(("phone_number", "telephoneNumber"), ("address.locality", "l")),
)
ENTRY = Entry(
    dn="uid=a,dc=x",
    attributes={
        "uid": (b"a",),
        "cn": ("Ä".encode(), b"other"),
        "mail": (b"a@x", b"b@x"),
        "telephonenumber": (b"1", b"2"),
    },
)
GUID = uuid.UUID("0f4b1c9e-2d3a-4b5c-8d7e-9f0a1b2c3d4e")


def test_attributes_become_claims() -> None:
    assert identity_of(ENTRY, SEARCH) == Identity(
        user_id="a",
        username="Ä",
        preferred_username="a",
        email="a@x",
        email_verified=True,
        claims=(("phone_number", ("1", "2")),),
    )


def test_an_address_can_be_made_of_the_name() -> None:
    search = replace(SEARCH, name_attr="uid", email_suffix="example.org")
    assert identity_of(ENTRY, search).email == "a@example.org"
    assert "mail" not in list(attributes_of(search))


def test_without_a_mapped_name_a_suffix_makes_no_address() -> None:
    search = replace(SEARCH, name_attr="", email_suffix="example.org")
    assert identity_of(ENTRY, search).email == ""


def test_what_is_not_mapped_is_not_asked_for() -> None:
    search = replace(SEARCH, name_attr="", preferred_username_attr="", email_attr="", claims=())
    assert list(attributes_of(search)) == ["uid"]
    assert identity_of(ENTRY, search) == Identity(user_id="a", email_verified=True)


def test_the_name_of_the_entry_can_be_the_id() -> None:
    search = replace(SEARCH, id_attr=DN)
    assert identity_of(ENTRY, search).user_id == "uid=a,dc=x"
    assert DN not in list(attributes_of(search))


def test_what_is_missing_is_named() -> None:
    search = replace(SEARCH, id_attr="entryUUID", name_attr="displayName")
    with pytest.raises(AccessRefused) as refused:
        identity_of(ENTRY, search)
    assert isinstance(refused.value, AttributeMissing)
    assert refused.value.attributes == ("entryUUID", "displayName")


@pytest.mark.parametrize(
    ("attribute", "value", "text"),
    [
        ("objectGUID", GUID.bytes_le, str(GUID)),
        ("mS-DS-ConsistencyGuid", GUID.bytes_le, str(GUID)),
        ("entryUUID", str(GUID).encode(), str(GUID)),
        (
            "objectSid",
            bytes.fromhex("010500000000000515000000a065cf7e784b9b5fe77c8770091c0100"),
            "S-1-5-21-2127521184-1604012920-1887927527-72713",
        ),
        ("GUID", b"\xff\x00\x01", "ff0001"),
        ("cn", "日本".encode(), "日本"),
    ],
)
def test_ids_are_written_as_people_know_them(attribute: str, value: bytes, text: str) -> None:
    assert text_of_value(attribute, value) == text


@pytest.mark.covers("L-14", "R-69")
@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("uid", b"root\0x"),
        ("uid", b"\xff"),
        ("objectGUID", b"short"),
        ("objectSid", b""),
        ("objectSid", b"\1\5\0\0\0\0\0\5\1"),
    ],
)
def test_a_value_that_is_none_of_its_attribute_is_refused(attribute: str, value: bytes) -> None:
    with pytest.raises(ValueUnreadable):
        text_of_value(attribute, value)


@given(
    id_value=st.binary(max_size=40),
    anchor=st.binary(max_size=40),
    id_attr=st.text(max_size=10),
)
def test_notes_are_read_as_they_were_written(id_value: bytes, anchor: bytes, id_attr: str) -> None:
    note = Remembered(
        id_attr=id_attr, id_value=id_value, anchor_attr="entryUUID", anchor_value=anchor
    )
    assert read(written(note)) == note


def test_unknown_members_of_a_note_are_left_alone() -> None:
    note = remember(ENTRY, "uid")
    newer = json.dumps({**json.loads(written(note)), "v": 2, "more": [1]})
    assert read(newer) == note


@pytest.mark.parametrize(
    "note",
    ["", "x", "[]", "{}", '"x"', "null", '{"id": "!", "idAttr": "uid"}', '{"id": 1, "idAttr": 2}'],
)
def test_what_is_no_note_of_ours_is_none(note: str) -> None:
    assert read(note) is None


def test_two_entries_of_one_id_are_told_apart_by_the_mark_of_the_server() -> None:
    first = replace(ENTRY, attributes={**ENTRY.attributes, "entryuuid": (b"1",)})
    second = replace(ENTRY, attributes={**ENTRY.attributes, "entryuuid": (b"2",)})
    note = remember(first, "uid")
    assert note.fits(first)
    assert not note.fits(second)
    # A server that does not say lets nobody in or out.
    assert note.fits(ENTRY)
    assert remember(ENTRY, "uid").fits(second)
