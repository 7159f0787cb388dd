"""One connection to one host: messages go out, bounded messages come in, each within a deadline.

One thread uses it at a time. Whatever goes wrong is a HostFailed, and then it is of no more use.
"""

import select
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from connectors.ldap.ber import check, message_size
from connectors.ldap.deadline import Deadline
from connectors.ldap.errors import HostFailed, Malformed
from connectors.ldap.messages import (
    BIND_ENDS,
    EXTENDED_ENDS,
    SEARCH_ENDS,
    UNSOLICITED,
    Ending,
    Reference,
    bind_request,
    decode,
    search_request,
    start_tls_request,
    unbind_request,
)
from connectors.ldap.operations import Entry, Found, Result, Search

LARGEST_ANSWER = 2 * 1024 * 1024
"""Bytes of all messages that answer one request."""

MOST_ELEMENTS_OF_AN_ANSWER = 20_000

_RECEIVED_AT_ONCE = 16 * 1024
_LAST_WORDS_SECONDS = 0.2
_LARGEST_ID = 2**31 - 1


class Connection:
    """A connected socket that speaks LDAP; `host` is what people call the other end."""

    def __init__(self, connected: socket.socket, host: str) -> None:
        """Take over a socket."""
        self.host = host
        self.used_at = 0.0
        self._socket = connected
        self._buffer = bytearray()
        self._last_id = 0
        self._received = 0

    def bind(self, dn: str, password: bytes, deadline: Deadline) -> Result:
        """Prove a password, whatever the outcome. Raises HostFailed."""
        with self._step("bind"):
            number = self._send(lambda number: bind_request(number, dn, password), deadline)
            return self._result(number, BIND_ENDS, deadline)

    def search(self, search: Search, deadline: Deadline, cookie: bytes = b"") -> Found:
        """Search, or fetch the page behind `cookie`. Raises HostFailed."""
        entries: list[Entry] = []
        references, before = 0, self._received
        with self._step("search"):
            number = self._send(lambda number: search_request(number, search, cookie), deadline)
            for answer in self._answers(number, SEARCH_ENDS, deadline):
                if isinstance(answer, Result):
                    return Found(
                        entries=tuple(entries),
                        result=answer,
                        references=references,
                        size=self._received - before,
                    )
                if isinstance(answer, Reference):
                    references += 1
                    continue
                entries.append(answer)
                if search.most and len(entries) > search.most:
                    raise Malformed("it sent more entries than were asked for")
        raise AssertionError("answers end with a result or an exception")

    def start_tls(self, context: ssl.SSLContext, server_name: str, deadline: Deadline) -> None:
        """Go on in TLS, or not at all. Raises HostFailed.

        The server has nothing to say between its answer and the handshake that we begin, so what
        stands there came from somebody else (CVE-2011-0411 and its like).
        """
        with self._step("StartTLS"):
            number = self._send(start_tls_request, deadline)
            result = self._result(number, EXTENDED_ENDS, deadline)
            if result.code != 0:
                raise Malformed(f"it does not offer TLS: {result}; nothing was sent in clear")
            if self._buffer or _has_something(self._socket):
                raise Malformed("something stands in clear behind its answer; nothing was sent")
        self.begin_tls(context, server_name, deadline)

    def begin_tls(self, context: ssl.SSLContext, server_name: str, deadline: Deadline) -> None:
        """Shake hands and verify. Raises HostFailed."""
        with self._step("TLS"):
            wrapped = context.wrap_socket(
                self._socket, server_hostname=server_name, do_handshake_on_connect=False
            )
            self._socket = wrapped
            wrapped.settimeout(deadline.remaining())
            wrapped.do_handshake()

    @property
    def tls_version(self) -> str:
        """Return the version of TLS that is spoken, empty for none."""
        return (isinstance(self._socket, ssl.SSLSocket) and self._socket.version()) or ""

    def is_silent(self) -> bool:
        """Tell whether nothing came unasked: neither an end nor a notice of one."""
        if self._buffer:
            return False
        try:
            if not _has_something(self._socket):
                return True
            # In TLS that may be the server's own business, such as a ticket: reading settles it.
            self._socket.settimeout(0)
            self._buffer += self._socket.recv(1)
        except (ssl.SSLWantReadError, BlockingIOError):
            return True
        except (OSError, ValueError):
            return False
        return False

    def close(self) -> None:
        """Say farewell if that can be done at once, and close."""
        with suppress(OSError, ValueError):
            self._socket.settimeout(_LAST_WORDS_SECONDS)
            self._socket.sendall(unbind_request(self._next_id()))
        self.abandon()

    def abandon(self) -> None:
        """Close without a word."""
        with suppress(OSError):
            self._socket.close()

    def _result(self, number: int, ending: Ending, deadline: Deadline) -> Result:
        """Return the answer to a request that has but one."""
        for answer in self._answers(number, ending, deadline):
            if isinstance(answer, Result):
                return answer
        raise AssertionError("answers end with a result or an exception")

    def _send(self, request: Callable[[int], bytes], deadline: Deadline) -> int:
        number = self._next_id()
        self._socket.settimeout(deadline.remaining())
        self._socket.sendall(request(number))
        return number

    def _next_id(self) -> int:
        self._last_id = self._last_id % _LARGEST_ID + 1
        return self._last_id

    def _answers(
        self, number: int, ending: Ending, deadline: Deadline
    ) -> Iterator[Entry | Reference | Result]:
        """Yield what answers a request, up to its result, within the bounds of one answer."""
        before, elements = self._received, 0
        while True:
            message = self._message(deadline)
            elements += check(message)
            if self._received - before > LARGEST_ANSWER or elements > MOST_ELEMENTS_OF_AN_ANSWER:
                raise Malformed("it sent a larger answer than anything that was asked can have")
            answered, answer = decode(message, ending)
            if answered == UNSOLICITED:
                raise ConnectionError("it ended the connection")
            if answered != number:
                raise Malformed("it sent an answer to something that was not asked")
            yield answer

    def _message(self, deadline: Deadline) -> bytes:
        """Receive one whole message; the deadline counts, not the pause between two octets."""
        while (size := message_size(self._buffer)) is None or len(self._buffer) < size:
            self._socket.settimeout(deadline.remaining())
            received = self._socket.recv(_RECEIVED_AT_ONCE)
            if not received:
                raise ConnectionError("it closed the connection")
            self._buffer += received
        message = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._received += size
        return message

    @contextmanager
    def _step(self, step: str) -> Iterator[None]:
        """Say in our own words what failed, and at which step."""
        try:
            yield
        except ssl.SSLCertVerificationError as failure:
            raise HostFailed(self.host, step, _distrust(failure)) from None
        except TimeoutError:
            raise HostFailed(self.host, step, "no answer in time") from None
        except ssl.SSLError as failure:
            raise HostFailed(self.host, step, _tls_problem(failure)) from None
        except (OSError, Malformed) as failure:
            raise HostFailed(self.host, step, _words(failure)) from None


def _has_something(connected: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connected, select.POLLIN)
    return bool(poll.poll(0))


def _distrust(failure: ssl.SSLCertVerificationError) -> str:
    return (
        f"its certificate is not trusted: {failure.verify_message}; "
        "check rootCA, and that the certificate names this host as a subject alternative name"
    )


def _tls_problem(failure: ssl.SSLError) -> str:
    reason = failure.reason or type(failure).__name__
    return f"TLS failed: {reason}; check that the port speaks TLS, or set startTLS"


def _words(failure: Exception) -> str:
    said = failure.strerror if isinstance(failure, OSError) else None
    return said or str(failure) or type(failure).__name__
