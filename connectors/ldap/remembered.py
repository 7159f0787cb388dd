"""The connector's note to itself of a person: what finds them again at a refresh."""

import base64
import binascii
import json
from dataclasses import dataclass

from connectors.ldap.operations import Entry

ANCHORS = ("entryUUID", "objectGUID", "nsUniqueId", "ipaUniqueID")
"""What servers give each entry once and never again; tells two people of one id apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """Which attribute held which id, octet by octet, and the server's own mark of the entry."""

    id_attr: str
    id_value: bytes
    anchor_attr: str = ""
    anchor_value: bytes = b""

    def fits(self, entry: Entry) -> bool:
        """Tell whether an entry may be the one that is remembered, as far as it says."""
        mark = entry.first(self.anchor_attr) if self.anchor_attr else b""
        return not mark or mark == self.anchor_value


def remember(entry: Entry, id_attr: str) -> Remembered:
    """Return what finds this entry again."""
    anchor = next((name for name in ANCHORS if entry.values(name)), "")
    return Remembered(
        id_attr=id_attr,
        id_value=entry.first(id_attr),
        anchor_attr=anchor,
        anchor_value=entry.first(anchor) if anchor else b"",
    )


def written(remembered: Remembered) -> str:
    """Return the note as JSON, the same for the same person."""
    note = {
        "v": 1,
        "idAttr": remembered.id_attr,
        "id": base64.b64encode(remembered.id_value).decode("ascii"),
        "anchorAttr": remembered.anchor_attr,
        "anchor": base64.b64encode(remembered.anchor_value).decode("ascii"),
    }
    return json.dumps(note, separators=(",", ":"))


def read(note: str) -> Remembered | None:
    """Return what a note says, None when it is not one of ours; unknown members are left alone."""
    try:
        members = json.loads(note)
        return Remembered(
            id_attr=str(members["idAttr"]),
            id_value=base64.b64decode(members["id"], validate=True),
            anchor_attr=str(members.get("anchorAttr", "")),
            anchor_value=base64.b64decode(members.get("anchor", ""), validate=True),
        )
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        return None
