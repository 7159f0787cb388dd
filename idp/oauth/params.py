"""Parameters of a request, read once and strictly.

A parameter without a value counts as omitted (RFC 6749 section 3.1); one that is sent twice is an
error, but only when somebody asks for a decision: which kind of error depends on the endpoint.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from idp.oauth.errors import InvalidRequest

MOST_FIELDS = 64
LONGEST_VALUE = 16 * 1024


@dataclass(frozen=True, slots=True)
class Parameters:
    """Form or query parameters: `values` by name, and the names that came more than once.

    `size` is the number of bytes that they were sent as.
    """

    values: Mapping[str, str]
    repeated: frozenset[str]
    size: int = 0

    def get(self, name: str) -> str | None:
        """Return the value, or None when it was omitted or empty."""
        return self.values.get(name) or None

    def once(self, name: str) -> str | None:
        """Return the value, or None when it was omitted, empty or sent more than once.

        For what must be known before the whole request is judged.
        """
        return None if name in self.repeated else self.get(name)

    def require(self, name: str) -> str:
        """Return the value. Raises InvalidRequest that names the parameter."""
        value = self.get(name)
        if value is None:
            raise InvalidRequest(f"The parameter {name} is missing.")
        return value

    def refuse_repeated(self) -> None:
        """Raise InvalidRequest if any parameter came twice (RFC 6749 section 3.1)."""
        if self.repeated:
            # The names are the sender's own words: printable() in the error keeps them harmless.
            names = ", ".join(sorted(self.repeated))[:80]
            raise InvalidRequest(f"Sent more than once: {names}. Send each parameter once.")


NO_PARAMETERS = Parameters(values={}, repeated=frozenset())


def parse_parameters(raw: bytes) -> Parameters:
    """Return the parameters of a query string or form body.

    Raises InvalidRequest for too many fields, values that are too long, and bytes that are not
    UTF-8 once decoded (RFC 6749 appendix B).
    """
    try:
        text = raw.decode("ascii")
        pairs = parse_qsl(
            text,
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except (UnicodeDecodeError, ValueError):
        raise InvalidRequest(
            f"The parameters cannot be read: send at most {MOST_FIELDS} of them,"
            " form-encoded as UTF-8."
        ) from None
    values: dict[str, str] = {}
    repeated: set[str] = set()
    for name, value in pairs:
        if len(value) > LONGEST_VALUE:
            raise InvalidRequest(f"A parameter is longer than {LONGEST_VALUE} characters.")
        if name in values:
            repeated.add(name)
        else:
            values[name] = value
    return Parameters(values=values, repeated=frozenset(repeated), size=len(raw))
