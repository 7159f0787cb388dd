"""What all sections of the configuration share: Dex's key names, frozen, nothing unknown."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

_CAPITALS = {
    "id": "ID",
    "uris": "URIs",
    "uri": "URI",
    "url": "URL",
    "ip": "IP",
    "db": "DB",
    "ca": "CA",
    "dn": "DN",
    "pw": "PW",
    "ssl": "SSL",
    "tls": "TLS",
}


def dex_key(attribute: str) -> str:
    """Return the key of an attribute: `redirect_uris` is `redirectURIs` in the file."""
    first, *rest = attribute.split("_")
    return first + "".join(_CAPITALS.get(word, word.capitalize()) for word in rest)


class Section(BaseModel):
    """A mapping of the file.

    `unserved` are keys that Dex knows here and we do not serve yet. The description of a required
    field is what a person reads when it is missing.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=dex_key,
        validate_by_alias=True,
        validate_by_name=True,
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
    )

    unserved: ClassVar[frozenset[str]] = frozenset()
