"""How an answer reaches the client: in the query, in the fragment, or as a form.

OAuth 2.0 Multiple Response Type Encoding Practices section 2.1, OAuth 2.0 Form Post Response Mode.
The mode is settled before anything else is checked, so that an error goes the way that the client
expects its answer.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import quote, urlencode

from idp.oauth.errors import InvalidRequest
from idp.oauth.response_types import carries_tokens


class ResponseMode(StrEnum):
    """The ways of an answer, as `response_mode` names them."""

    QUERY = "query"
    FRAGMENT = "fragment"
    FORM_POST = "form_post"


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def default_mode(response_type: str) -> ResponseMode:
    """Return the mode of a response type, served or not, where none is asked for.

    Multiple Response Type Encoding Practices section 5.
    """
    return ResponseMode.FRAGMENT if carries_tokens(response_type) else ResponseMode.QUERY


def mode_of(response_mode: str | None, response_type: str, redirect_uri: str) -> ResponseMode:
    """Return how every answer to a request goes, errors about the mode itself included.

    A mode that is unknown, or cannot be had here, leaves the default.
    """
    try:
        return read_mode(response_mode, response_type, redirect_uri)
    except InvalidRequest:
        return default_mode(response_type)


def read_mode(response_mode: str | None, response_type: str, redirect_uri: str) -> ResponseMode:
    """Return the mode asked for.

    Raises InvalidRequest for unknown ones, for tokens in a query, and for a form to a private
    scheme, where no program would get what it holds.
    """
    if response_mode is None:
        return default_mode(response_type)
    try:
        mode = ResponseMode(response_mode)
    except ValueError:
        raise InvalidRequest("response_mode knows query, fragment and form_post.") from None
    if mode is ResponseMode.QUERY and carries_tokens(response_type):
        raise InvalidRequest(
            "response_mode=query is not for response types that carry tokens: leave it out."
        )
    if mode is ResponseMode.FORM_POST and not redirect_uri.startswith(("https:", "http:")):
        raise InvalidRequest("response_mode=form_post is for http and https redirect URIs only.")
    return mode


def check_state(mode: ResponseMode, state: str | None) -> None:
    """Raise InvalidRequest for a state that a form would not bring back as it came.

    Browsers change line breaks in fields; no control character is allowed in one anyway (RFC 6749
    appendix A.5).
    """
    if mode is ResponseMode.FORM_POST and state is not None and _CONTROL.search(state):
        raise InvalidRequest("With response_mode=form_post, state must hold no control characters.")


def answer_location(redirect_uri: str, mode: ResponseMode, answer: Mapping[str, str]) -> str:
    """Return the client's address with an answer in its query or fragment."""
    encoded = urlencode(answer, quote_via=quote)
    if mode is ResponseMode.FRAGMENT:
        return f"{redirect_uri}#{encoded}"
    separator = "&" if "?" in redirect_uri else "?"
    return redirect_uri + separator + encoded
