"""Answers of an LDAP server as bytes (RFC 4511, 4.2 to 4.14)."""

from collections.abc import Mapping, Sequence

from tests.kit.hostile_directory import ber
from tests.kit.hostile_directory.requests import PAGED_RESULTS, PASSWORD_POLICY, Control

BIND, SEARCH_ENTRY, SEARCH_DONE, SEARCH_REFERENCE, EXTENDED = 0x61, 0x64, 0x65, 0x73, 0x78
_NOTICE_OF_DISCONNECTION = "1.3.6.1.4.1.1466.20036"
_UNAVAILABLE = 52


def message(message_id: int, answer: bytes, controls: Sequence[Control] = ()) -> bytes:
    """Write a message around an answer."""
    written = [ber.element(0xA0, *map(_control, controls))] if controls else []
    return ber.sequence(ber.integer(message_id), answer, *written)


def result(
    tag: int,
    code: int,
    *,
    text: str | bytes = "",
    matched_dn: str = "",
    referrals: Sequence[str] = (),
) -> bytes:
    """Write the end of an operation; referrals belong to the code 10."""
    refers = [ber.element(0xA3, *map(ber.octets, referrals))] if referrals else []
    code_written = ber.integer(code, tag=ber.ENUMERATED)
    return ber.element(tag, code_written, ber.octets(matched_dn), ber.octets(text), *refers)


def entry(dn: str | bytes, attributes: Mapping[str, Sequence[str | bytes]]) -> bytes:
    """Write an entry that was found."""
    written = [
        ber.sequence(ber.octets(name), ber.element(ber.SET, *map(ber.octets, values)))
        for name, values in attributes.items()
    ]
    return ber.element(SEARCH_ENTRY, ber.octets(dn), ber.sequence(*written))


def reference(urls: Sequence[str]) -> bytes:
    """Write that more is to be found elsewhere."""
    return ber.element(SEARCH_REFERENCE, *map(ber.octets, urls))


def notice_of_disconnection(text: str = "the directory is being shut down") -> bytes:
    """Write the message that nobody asked for (RFC 4511, 4.4.1)."""
    ended = ber.read(result(EXTENDED, _UNAVAILABLE, text=text)).content
    named = ber.octets(_NOTICE_OF_DISCONNECTION, tag=0x8A)
    return message(0, ber.element(EXTENDED, ended, named))


def paged(cookie: bytes, *, estimate: int = 0) -> Control:
    """Return the control that goes with a page; an empty cookie says that it is the last."""
    return Control(PAGED_RESULTS, ber.sequence(ber.integer(estimate), ber.octets(cookie)))


def password_policy(
    *, error: int | None = None, grace_binds: int | None = None, seconds_left: int | None = None
) -> Control:
    """Return what a password policy has to say (draft-behera-ldap-password-policy, 6.2).

    Of `grace_binds` and `seconds_left` one at most; as `error` 0 is expired, 1 is locked.
    """
    parts = []
    if seconds_left is not None:
        parts.append(ber.element(0xA0, ber.integer(seconds_left, tag=0x80)))
    if grace_binds is not None:
        parts.append(ber.element(0xA0, ber.integer(grace_binds, tag=0x81)))
    if error is not None:
        parts.append(ber.integer(error, tag=0x81))
    return Control(PASSWORD_POLICY, ber.sequence(*parts))


def _control(control: Control) -> bytes:
    critical = [ber.element(ber.BOOLEAN, b"\xff")] if control.is_critical else []
    value = [] if control.value is None else [ber.octets(control.value)]
    return ber.sequence(ber.octets(control.oid), *critical, *value)
