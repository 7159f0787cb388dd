"""Requests whose framing is damaged: cut, contradictory, or no HTTP at all (RFC 9112)."""

import random
from collections.abc import Callable

Damage = Callable[[random.Random, bytes, bytes], tuple[bytes, bytes]]

_LENGTHS = (
    b"-1", b"+5", b"0x10", b"5, 5", b"99999999999999999999", b"1e3", b"",
    b"5\r\nContent-Length: 6",
)  # fmt: skip
_CODINGS = (
    b"gzip", b"chunked, chunked", b"xchunked", b"chunked\r\nTransfer-Encoding: x", b" chunked",
)  # fmt: skip
_CHUNKS = (
    b"z\r\nx\r\n", b"fffffffffffffffff\r\n", b"5\r\nabc", b"-1\r\n\r\n", b"5\nhello\n0\n\n",
    b"\r\n" * 50,
)  # fmt: skip


def damaged(draw: random.Random, start: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Return head and body of a request with one kind of damage."""
    return draw.choice(_KINDS)(draw, start, body)


def _head_cut(draw: random.Random, start: bytes, _: bytes) -> tuple[bytes, bytes]:
    return start[: draw.randrange(len(start))], b""


def _body_cut(_: random.Random, start: bytes, body: bytes) -> tuple[bytes, bytes]:
    return start.replace(b"{length}", str(len(body) + 9).encode()), body[: len(body) // 2]


def _bare_newlines(_: random.Random, start: bytes, body: bytes) -> tuple[bytes, bytes]:
    return start.replace(b"\r\n", b"\n"), body


def _a_byte_more(draw: random.Random, start: bytes, body: bytes) -> tuple[bytes, bytes]:
    place = draw.randrange(len(start))
    return start[:place] + bytes([draw.randrange(256)]) + start[place:], body


def _a_byte_less(draw: random.Random, start: bytes, body: bytes) -> tuple[bytes, bytes]:
    place = draw.randrange(len(start))
    return start[:place] + start[place + 1 :], body


def _odd_length(draw: random.Random, start: bytes, body: bytes) -> tuple[bytes, bytes]:
    return start.replace(b"{length}", draw.choice(_LENGTHS)), body


def _two_lengths(_: random.Random, start: bytes, __: bytes) -> tuple[bytes, bytes]:
    return _with(start, b"Transfer-Encoding: chunked\r\nContent-Length: 4"), b"0\r\n\r\n"


def _odd_coding(draw: random.Random, start: bytes, body: bytes) -> tuple[bytes, bytes]:
    return _with(start, b"Transfer-Encoding: " + draw.choice(_CODINGS)), body


def _odd_chunks(draw: random.Random, start: bytes, _: bytes) -> tuple[bytes, bytes]:
    return _with(start, b"Transfer-Encoding: chunked"), draw.choice(_CHUNKS)


def _noise(draw: random.Random, _: bytes, __: bytes) -> tuple[bytes, bytes]:
    return bytes(draw.randrange(256) for _ in range(draw.randrange(1, 400))), b""


def _with(start: bytes, line: bytes) -> bytes:
    return start.removesuffix(b"\r\n") + line + b"\r\n\r\n"


_KINDS: tuple[Damage, ...] = (
    _head_cut, _body_cut, _bare_newlines, _a_byte_more, _a_byte_less, _odd_length, _two_lengths,
    _odd_coding, _odd_chunks, _noise,
)  # fmt: skip
