"""Reads the JSON object of a request, strictly and never more of it than there may be."""

from typing import Any

from starlette.requests import Request

from idp.oauth.errors import InvalidRequest
from idp.strict_json import parse_object
from idp.web.forms import read_stream

_JSON = "application/json"


async def read_json(request: Request, *, largest: int) -> dict[str, Any]:
    """Return the members of the object. Raises InvalidRequest, and BodyTooLarge beyond `largest`.

    `largest` is in bytes.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != _JSON:
        raise InvalidRequest(f"The body must be sent as {_JSON}.")
    raw = await read_stream(request, largest=largest)
    try:
        return parse_object(raw)
    except ValueError:
        raise InvalidRequest(
            "The body must be one JSON object, in UTF-8, with each member once."
        ) from None
