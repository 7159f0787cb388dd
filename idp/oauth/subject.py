"""What `sub` is made of: the connector's id and the person's id there, encoded as Dex encodes them.

The encoding is a protobuf message of two strings, user id (field 1) and connector id (field 2), in
base64url without padding. Each part is preceded by its length, so no two people share a subject
(OpenID Connect Core section 5.7), and whoever comes from Dex keeps every binding to a `sub`.
"""

import base64
import binascii

_LENGTH_DELIMITED = 2
_USER_ID = 1
_CONNECTOR_ID = 2


def subject(user_id: str, connector_id: str) -> str:
    """Return the `sub` of a person, from the connector's immutable id of them and never a name.

    A client is its own subject with an empty connector id. Raises ValueError for text that has no
    UTF-8 form (a lone surrogate).
    """
    message = _field(_USER_ID, user_id) + _field(_CONNECTOR_ID, connector_id)
    return base64.urlsafe_b64encode(message).rstrip(b"=").decode("ascii")


def parse_subject(sub: str) -> tuple[str, str]:
    """Return user id and connector id, of a subject in a token of ours or typed by somebody.

    Raises ValueError for everything that `subject` would not have written.
    """
    try:
        message = base64.b64decode(sub + "=" * (-len(sub) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the subject is not base64url") from None
    user_id, rest = _read_field(_USER_ID, message)
    connector_id, rest = _read_field(_CONNECTOR_ID, rest)
    if rest or subject(user_id, connector_id) != sub:
        raise ValueError("the subject is not a user id and a connector id as this server writes it")
    return user_id, connector_id


def _field(number: int, text: str) -> bytes:
    """Return one protobuf field; proto3 leaves empty ones out."""
    content = text.encode("utf-8")
    if not content:
        return b""
    return bytes([number << 3 | _LENGTH_DELIMITED]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def _read_field(number: int, message: bytes) -> tuple[str, bytes]:
    if message[:1] != bytes([number << 3 | _LENGTH_DELIMITED]):
        return "", message
    length, at = 0, 1
    for shift in range(0, 35, 7):
        group = message[at : at + 1]
        if not group:
            raise ValueError("the subject ends inside a length")
        length |= (group[0] & 0x7F) << shift
        at += 1
        if group[0] < 0x80:
            break
    if len(message) < at + length:
        raise ValueError("the subject ends inside a field")
    return message[at : at + length].decode("utf-8"), message[at + length :]
