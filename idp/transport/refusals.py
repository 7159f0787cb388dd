"""What a client hears when the transport itself says no: always an answer, then the end."""

from http import HTTPStatus

METHODS = frozenset((b"GET", b"HEAD", b"POST", b"OPTIONS", b"PUT", b"PATCH", b"DELETE"))
"""Methods that may reach the application; CONNECT, TRACE and all others are 405."""

_TEXTS = {
    400: "The request is not valid HTTP/1.1.",
    404: "There is nothing at this address.",
    405: "This method is not served here.",
    408: "The request did not arrive in time.",
    413: "The request body is too large.",
    414: "The request address is too long.",
    415: "Request bodies must not be encoded (Content-Encoding).",
    417: "Only 'Expect: 100-continue' can be met.",
    431: "The request headers are too large or too many.",
    503: "The server is at its limit of connections. Try again shortly.",
    505: "Only HTTP/1.1 and HTTP/1.0 are served.",
}
_EXTRA = {
    405: b"allow: " + b", ".join(sorted(METHODS)) + b"\r\n",
    415: b"accept-encoding: identity\r\n",
    503: b"retry-after: 1\r\n",
}


class Refused(Exception):
    """A request that goes no further. Raised in a parser callback; carries the status to answer."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def _answer(status: int) -> tuple[bytes, bytes]:
    body = (_TEXTS[status] + "\n").encode()
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        "content-type: text/plain; charset=utf-8\r\n"
        f"content-length: {len(body)}\r\n"
        "cache-control: no-store\r\n"
        "x-content-type-options: nosniff\r\n"
        "connection: close\r\n"
    )
    return head.encode() + _EXTRA.get(status, b""), body


_ANSWERS = {status: _answer(status) for status in _TEXTS}


def refusal(status: int, *, method: bytes, date_line: bytes) -> bytes:
    """Return the whole answer for `status`; for HEAD without its body (RFC 9110 section 9.3.2)."""
    head, body = _ANSWERS[status]
    return b"".join((head, date_line, b"\r\n", b"" if method == b"HEAD" else body))
