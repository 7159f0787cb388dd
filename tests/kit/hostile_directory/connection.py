"""One connection of a `HostileDirectory`: requests are read, written down and answered somehow."""

import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from tests.kit.hostile_directory import answers, ber
from tests.kit.hostile_directory.behaviours import (
    AlsoRefers,
    Answers,
    AnswersAnother,
    Behaviour,
    Dawdles,
    HangsUp,
    IgnoresTls,
    Injects,
    Sends,
    Silence,
    Trickles,
)
from tests.kit.hostile_directory.requests import (
    START_TLS,
    Abandon,
    Bind,
    Control,
    Extended,
    Request,
    Search,
    Unbind,
    read_request,
)
from tests.kit.hostile_directory.script import Script, Seen, SeenConnection
from tests.kit.hostile_directory.tree import Tree
from tests.kit.hostile_directory.wire import Wire

_SUCCESS, _PROTOCOL_ERROR = 0, 2
_GARBAGE_KEPT = 64 << 10


@dataclass(frozen=True, slots=True)
class _Truth:
    """What an honest server would answer: entries, and the end of the operation."""

    tag: int
    end: bytes
    entries: Sequence[bytes] = ()
    controls: Sequence[Control] = ()

    def messages(self, message_id: int) -> Iterator[bytes]:
        for entry in self.entries:
            yield answers.message(message_id, entry)
        yield answers.message(message_id, self.end, self.controls)


class Connection:
    """A client; `serve` returns when it is gone or was sent away."""

    def __init__(
        self, wire: Wire, *, about: SeenConnection, seen: Seen, script: Script, tree: Tree
    ) -> None:
        """Take what the connections of a directory share; `about` is this one's own."""
        self.wire = wire
        self._about = about
        self._seen = seen
        self._script = script
        self._tree = tree
        self._bound_as = ""
        self._tls: ssl.SSLContext | None = None
        self._buffer = b""

    def serve(self, *, tls: ssl.SSLContext | None, scheme: str) -> None:
        """Serve until the end; with `ldaps` the handshake comes first, else `tls` is on offer."""
        self._tls = tls
        try:
            told = self._script.next("connect", None)
            if told is not None:
                self._say(told, _Truth(answers.EXTENDED, b""), 0)
                self.wire.wait_until_gone()
                return
            if scheme == "ldaps":
                self._start_tls()
            self._read_on()
        except OSError:
            # The client is gone, or was sent away: what it sent is written down.
            pass
        finally:
            self._about.is_open = False
            self.wire.close()

    def _read_on(self) -> None:
        while data := self.wire.receive():
            self._buffer += data
            try:
                while (request := self._next()) is not None:
                    self._seen.requests.append(request)
                    if isinstance(request, Unbind):
                        return
                    self._answer(request)
            except ber.NotBer:
                self._hoard()
        self._about.garbage += self._buffer

    def _next(self) -> Request | None:
        """Take a whole request out of the buffer, if there is one; raises `NotBer`."""
        length = ber.first_length(self._buffer)
        if length is None or len(self._buffer) < length:
            return None
        request = read_request(
            self._buffer[:length],
            connection=self._about.number,
            over_tls=self._about.tls.startswith("TLS"),
            bound_as=self._bound_as,
        )
        self._buffer = self._buffer[length:]
        return request

    def _hoard(self) -> None:
        """Keep what is no LDAP, and all that follows."""
        data = self._buffer
        while data:
            self._about.garbage = (self._about.garbage + data)[:_GARBAGE_KEPT]
            data = self.wire.receive()
        self._buffer = b""

    def _answer(self, request: Request) -> None:
        if isinstance(request, Extended) and request.oid == START_TLS:
            self._answer_start_tls(request)
        elif isinstance(request, Search):
            found = self._tree.search(request)
            end = answers.result(answers.SEARCH_DONE, found.result)
            truth = _Truth(answers.SEARCH_DONE, end, found.entries, found.controls)
            self._say(self._script.next("search", request), truth, request.message_id)
        elif isinstance(request, Bind):
            self._answer_bind(request)
        elif not isinstance(request, Abandon):
            end = answers.result(answers.EXTENDED, _PROTOCOL_ERROR, text="not known here")
            self._say(None, _Truth(answers.EXTENDED, end), request.message_id)

    def _answer_bind(self, request: Bind) -> None:
        told = self._script.next("bind", request)
        result = self._tree.bind(request)
        is_bound = result == _SUCCESS and not isinstance(told, Answers)
        self._bound_as = request.dn if is_bound else ""
        truth = _Truth(answers.BIND, answers.result(answers.BIND, result))
        self._say(told, truth, request.message_id)

    def _answer_start_tls(self, request: Extended) -> None:
        told = self._script.next("start_tls", request)
        is_offered = self._tls is not None
        code = _SUCCESS if is_offered or isinstance(told, IgnoresTls) else _PROTOCOL_ERROR
        truth = _Truth(answers.EXTENDED, answers.result(answers.EXTENDED, code))
        if isinstance(told, Injects):
            # In one piece: so it is read in one piece.
            self.wire.send(b"".join([*truth.messages(request.message_id), told.plaintext]))
        else:
            self._say(told, truth, request.message_id)
        if is_offered and isinstance(told, Injects | Trickles | Dawdles | None):
            self._buffer = b""
            self._start_tls()

    def _start_tls(self) -> None:
        if self._tls is None:
            raise ValueError("TLS needs a certificate")
        try:
            self._about.tls = self.wire.start_tls(self._tls)
        except OSError as error:
            self._about.tls = f"failed: {error}"
            raise

    def _say(self, told: Behaviour | None, truth: _Truth, message_id: int) -> None:
        for piece in self._pieces(told, truth, message_id):
            self.wire.send(piece)

    def _pieces(self, told: Behaviour | None, truth: _Truth, message_id: int) -> Iterator[bytes]:
        match told:
            case None | IgnoresTls() | Injects():
                yield b"".join(truth.messages(message_id))
            case Silence():
                return
            case Dawdles():
                self.wire.pause(told.seconds)
                yield b"".join(truth.messages(message_id))
            case Trickles():
                for octet in b"".join(truth.messages(message_id)):
                    yield bytes([octet])
                    self.wire.pause(told.seconds_per_byte)
            case HangsUp():
                self._hang_up(told)
            case Answers():
                yield from _false(told, truth).messages(message_id)
            case AlsoRefers():
                yield from _referring(told, truth).messages(message_id)
            case AnswersAnother():
                yield from truth.messages(message_id + told.off_by)
            case Sends():
                yield from told.make(message_id)

    def _hang_up(self, told: HangsUp) -> NoReturn:
        if told.how == "notice":
            self.wire.send(answers.notice_of_disconnection())
        self.wire.close("reset" if told.how == "reset" else "close")
        raise OSError("the client was sent away")


def _false(told: Answers, truth: _Truth) -> _Truth:
    end = answers.result(truth.tag, told.result, text=told.text, referrals=told.referrals)
    return _Truth(truth.tag, end, truth.entries[: told.entries], told.controls)


def _referring(told: AlsoRefers, truth: _Truth) -> _Truth:
    refers = answers.reference(told.urls)
    # In front of the entries: who follows it does so before they are seen.
    return replace(truth, entries=[refers, *truth.entries])
