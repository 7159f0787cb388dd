"""One HTTP/1.1 connection: uvicorn's httptools protocol with deadlines, limits and strict framing.

What is ours: a request reaches the application only when its head is beyond doubt and its body is
complete; every wait for the client has a deadline; documents are answered on the spot; a refusal
closes the connection after everything asked before it has been answered, and nothing after it runs.
"""

import asyncio
import logging
import math
from typing import cast

import httptools
from uvicorn._types import HTTPScope
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from idp.transport.connections import Connections
from idp.transport.deadlines import Deadlines, Wait
from idp.transport.documents import PreparedDocument
from idp.transport.entry import Entry
from idp.transport.exchange import Exchange
from idp.transport.incoming import SLICE, Incoming
from idp.transport.refusals import Refused, refusal
from idp.transport.sockets import reset, unsent_bytes

_log = logging.getLogger("idp.transport")


class HttpProtocol(HttpToolsProtocol):
    """A connection. It has one `Incoming` at a time, and an `Exchange` for each request at work."""

    def __init__(self, entry: Entry, config: Config, connections: Connections) -> None:
        super().__init__(config, connections.state, {}, connections.loop)
        self._entry = entry
        self._documents = entry.documents
        self._shared = connections
        self._limits = connections.limits
        self._deadlines = Deadlines(connections.limits, connections.loop.time)
        self._phase = Wait.OPENING  # of reading
        self._request = Incoming()
        self._pending = 0  # requests without a complete answer; all but one wait in `pipeline`
        self._running: Exchange | None = None
        self._wants_continue = False
        self._unread = b""  # received and not yet parsed, see SLICE
        self._leaving = False  # nothing that is received counts any more
        self._dropped = 0

    # --- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        full = self._shared.full
        self._shared.open.add(self)
        if full:
            self._refuse(503)
        self._rearm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._shared.open.discard(self)
        self._drop_body()
        self.pipeline.clear()
        if self._running is not None:
            self._running.give_up()
        super().connection_lost(exc)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Answer a client that has shut its sending side; TLS knows no such half."""
        if self._running is None or not self._pending or self._leaving or self.scheme == "https":
            return None
        self._leaving = True
        self.cycle.keep_alive = False
        self._running.hang_up()
        return True

    def pause_writing(self) -> None:
        super().pause_writing()
        self._deadlines.write_due = self.loop.time() + self._limits.write
        self.flow.pause_reading()  # who does not read answers may not ask for more

    def resume_writing(self) -> None:
        super().resume_writing()
        self._deadlines.write_due = math.inf
        if not self._pending and not self.transport.is_closing():
            self._continue_reading()

    # --- deadlines and the end

    def _rearm(self) -> None:
        self._deadlines.wait(Wait.ANSWER if self._pending else self._phase)

    def is_overdue(self, now: float) -> bool:
        """Tell whether something must be done about this connection."""
        deadlines = self._deadlines
        return now >= deadlines.due or now >= deadlines.write_due or self.transport.is_closing()

    def cut(self, now: float) -> None:
        """Do it: answer 408 while the client owes us a request, else close, else drop."""
        deadlines = self._deadlines
        if now >= deadlines.write_due:
            reset(self.transport)
        elif self.transport.is_closing():
            if deadlines.write_due == math.inf:  # the client does not take the rest
                deadlines.write_due = now + self._limits.write
        elif deadlines.waits_for in (Wait.HEAD, Wait.BODY):
            self._refuse(408)
            self._rearm()
        elif unsent_bytes(self.transport):
            reset(self.transport)
        elif deadlines.waits_for is Wait.FLUSHING:
            self._phase = Wait.IDLE
            self._rearm()
        else:
            self.transport.close()

    def finish_soon(self) -> None:
        """Let the answer that is being made be the last of this connection."""
        if self._pending:
            self.cycle.keep_alive = False

    def close_if_quiet(self, now: float) -> None:
        """Close unless something is asked, or may be on its way."""
        if not self._deadlines.is_quiet(now):
            return
        if self.transport.is_closing() and not unsent_bytes(self.transport):
            # Over TLS a client that does not read never says goodbye; it has all it will get.
            self.transport.abort()
        self.transport.close()

    def abort(self) -> None:
        """Drop the connection; what was not sent is lost."""
        if self._running is not None:
            self._running.give_up()
        self.transport.abort()

    def _refuse(self, status: int) -> None:
        """Answer `status` and listen no more; behind a request at work only listen no more."""
        self._leaving = True
        self._unread = b""
        self._drop_body()
        self._entry.on_refusal(status)
        if self._pending:
            self.cycle.keep_alive = False
            return
        self._phase = Wait.LEAVING
        answer = refusal(status, method=self._request.method, date_line=self._shared.date_line)
        self.transport.write(answer)
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _drop_body(self) -> None:
        self._shared.pending_bytes -= len(self._request.body)
        self._request.body = b""

    # --- receiving

    def data_received(self, data: bytes) -> None:
        if self._leaving:
            self._discard(data)
        elif self._unread:
            self._unread += data
        elif len(data) <= SLICE:
            self._feed(data)
            self._rearm()
        else:
            self._feed_slices(data)
            self._rearm()

    def _discard(self, data: bytes) -> None:
        self._dropped += len(data)
        if self._dropped > self._limits.discard_bytes:
            self.transport.abort()

    def _feed_slices(self, data: bytes) -> None:
        for start in range(0, len(data), SLICE):
            if self._pending > self._limits.pipelined or self.flow.write_paused:
                self._unread = data[start:]
                self.flow.pause_reading()
                return
            self._feed(data[start : start + SLICE])
            if self._leaving or self.transport.is_closing():
                return

    def _feed(self, data: bytes) -> None:
        """Parse a slice; every way in which that can fail ends in one refusal."""
        before = self._request
        try:
            self._parse(data)
            if self._request is before:
                self._weigh(len(data))
        except Refused as refused:
            self._refuse(refused.status)
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            if not isinstance(cause, Refused):
                _log.error("http_parser_callback_failed", exc_info=cause)
            self._refuse(cause.status if isinstance(cause, Refused) else 400)
        except httptools.HttpParserInvalidMethodError:
            # A well-formed but unknown method is 405, anything else no HTTP at all.
            self._refuse(405 if _is_request_line(data) else 400)
        except httptools.HttpParserError:
            self._refuse(400)

    def _parse(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                data = self._request.head_without_upgrade() + data[upgrade.args[0] :]
            else:
                return

    def _weigh(self, size: int) -> None:
        """Bound what a request that is still arriving may weigh."""
        if self._phase is Wait.HEAD:
            self._request.weigh_head(size, self._limits)
        elif self._phase is Wait.BODY:
            self._request.weigh_body(size, self._limits)

    # --- parser callbacks; what they raise arrives in `_feed`

    def on_message_begin(self) -> None:
        self._request = Incoming()
        self._phase = Wait.HEAD
        self._deadlines.forget()

    def on_url(self, url: bytes) -> None:
        self._request.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.add_header(name, value)

    def on_headers_complete(self) -> None:
        request = self._request
        request.complete_head(self.parser, self._limits)
        self._phase = Wait.BODY
        if request.has_body:
            self._wants_continue = b"expect" in request.noted and not request.upgrades
            self._send_continue()
        elif request.method == b"GET" or request.method == b"HEAD":
            request.document = self._documents.current.get(request.raw_path)

    def _send_continue(self) -> None:
        """Ask for the body; behind another request only once that is answered."""
        if self._wants_continue and not self._pending:
            self._wants_continue = False
            if self._request.version == "1.1":
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        request = self._request
        if not request.body:
            request.body = bytearray()
        request.body += body
        self._shared.pending_bytes += len(body)
        if len(request.body) > self._limits.body_bytes:
            raise Refused(413)
        if self._shared.pending_bytes > self._limits.pending_bytes:
            raise Refused(503)

    def on_message_complete(self) -> None:
        request = self._request
        if request.upgrades or self._leaving:
            return
        self._phase = Wait.FLUSHING
        self._wants_continue = False
        if request.document is not None and not self._pending:
            self._send_document(request, request.document)
        else:
            self._begin_exchange(request)

    # --- answering

    def _keeps_alive(self, request: Incoming) -> bool:
        wanted = request.version == "1.1" and self.parser.should_keep_alive()
        return wanted and not self._shared.draining

    def _send_document(self, request: Incoming, document: PreparedDocument) -> None:
        noted = request.noted
        status = document.status(noted.get(b"if-none-match"))
        found = status == 200
        keeps_alive = self._keeps_alive(request)
        self.transport.write(
            b"".join(
                (
                    document.found if found else document.unchanged,
                    self._shared.date_line,
                    self._documents.cors_line(noted[b"origin"]) if b"origin" in noted else b"",
                    b"\r\n" if keeps_alive else b"connection: close\r\n\r\n",
                    document.body if found and request.method == b"GET" else b"",
                )
            )
        )
        self._documents.on_document(document.path, status)
        if not keeps_alive:
            self._leaving = True
            self.transport.close()

    def _begin_exchange(self, request: Incoming) -> None:
        exchange = Exchange(
            scope=self._scope(request),
            transport=self.transport,
            flow=self.flow,
            logger=_log,
            access_logger=_log,
            access_log=False,
            default_headers=self._shared.state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=self._keeps_alive(request),
            on_response=self.on_response_complete,
        )
        exchange.request_body = bytes(request.body)
        self._drop_body()
        self.cycle = exchange
        self._pending += 1
        if self._pending == 1:
            self._run(exchange)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))

    def _run(self, exchange: Exchange) -> None:
        self._running = exchange
        self._start_asgi_task(exchange, self.app)

    def _scope(self, request: Incoming) -> HTTPScope:
        scope = request.scope()
        scope["server"] = self.server
        scope["client"] = self.client
        scope["scheme"] = self.scheme or "http"
        return scope

    def on_response_complete(self) -> None:
        self._pending -= 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            exchange, _ = self.pipeline.pop()
            self._run(cast(Exchange, exchange))
            return
        self._send_continue()
        self._rearm()
        self._continue_reading()

    def _continue_reading(self) -> None:
        if self._unread:
            data, self._unread = self._unread, b""
            self.data_received(data)
        if not self._unread and not self.flow.write_paused:
            self.flow.resume_reading()


def _is_request_line(data: bytes) -> bool:
    method, _, rest = data.lstrip(b"\r\n").partition(b" ")
    return method.isalpha() and method.isupper() and rest.startswith((b"/", b"http"))
