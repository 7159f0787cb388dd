"""By what the records about one person are found."""

import base64
import hashlib
import json


def person_key(connector_id: str, user_id: str) -> str:
    """Return 52 characters that stand for a person, whatever their ids are made of.

    It names the object about them and labels their grants. People can be told apart by it, and not
    read from it; nothing is decided by it, as labels are not authenticated.
    """
    text = json.dumps([connector_id, user_id]).encode("ascii")
    digest = hashlib.sha256(text).digest()
    return base64.b32encode(digest).decode("ascii").rstrip("=").lower()
