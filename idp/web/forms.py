"""Reads the body of a form request, never more of it than a form may have."""

from urllib.parse import parse_qsl

from starlette.requests import Request

from idp.oauth.errors import InvalidRequest
from idp.oauth.params import MOST_FIELDS, NO_PARAMETERS, Parameters, parse_parameters

LARGEST_FORM = 64 * 1024
_FORM = "application/x-www-form-urlencoded"


class BodyTooLarge(Exception):
    """The body is larger than any of its kind may be."""


async def read_body(request: Request) -> bytes:
    """Return the raw body of a form. Raises InvalidRequest for another media type, BodyTooLarge."""
    _check_media_type(request)
    return await read_stream(request, largest=LARGEST_FORM)


async def read_optional_form(request: Request) -> Parameters:
    """Return the parameters of a form, none for an empty body. Raises as `read_form`."""
    raw = await read_stream(request, largest=LARGEST_FORM)
    if not raw:
        return NO_PARAMETERS
    _check_media_type(request)
    return parse_parameters(raw)


def single_authorization(request: Request) -> str | None:
    """Return the Authorization header. Raises InvalidRequest if there are two."""
    values = request.headers.getlist("authorization")
    if len(values) > 1:
        raise InvalidRequest("Sent more than once: Authorization. Send it once.")
    return values[0] if values else None


def _check_media_type(request: Request) -> None:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != _FORM:
        raise InvalidRequest(f"The body must be sent as {_FORM}.")


async def read_stream(request: Request, *, largest: int) -> bytes:
    """Return the body, whatever it is. Raises BodyTooLarge beyond `largest` bytes."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > largest:
            raise BodyTooLarge
        chunks.append(chunk)
    return b"".join(chunks)


async def read_form(request: Request) -> Parameters:
    """Return the parameters of a form. Raises InvalidRequest and BodyTooLarge."""
    return parse_parameters(await read_body(request))


async def read_page_form(request: Request) -> dict[str, str]:
    """Return the fields of a form of our own pages, in which none comes twice.

    Bytes that are no UTF-8 stay in as lone surrogates: a password with such bytes is a wrong
    password and gets the same form again, not an error of its own.
    """
    raw = await read_body(request)
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            errors="surrogateescape",
            max_num_fields=MOST_FIELDS,
        )
    except (UnicodeDecodeError, ValueError):
        raise InvalidRequest("The form cannot be read. Go back and send it again.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidRequest("The form has a field twice. Go back and send it again.")
    return fields


def read_query(request: Request) -> Parameters:
    """Return the parameters of the query string. Raises InvalidRequest."""
    return parse_parameters(request.scope["query_string"])
