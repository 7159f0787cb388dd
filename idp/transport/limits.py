"""How long a client may take and how much it may send."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Deadlines in seconds, sizes in bytes; a connection that breaks one is answered and closed.

    Deadlines are kept by one sweep each `sweep` seconds over all connections, so a connection may
    live that much longer than its deadline, never shorter.
    """

    handshake: float = 10.0
    """For a TLS handshake."""
    head: float = 10.0
    """From connecting to the first byte, and from a request's first byte to its last header."""
    body: float = 20.0
    """From the last header to the end of the body."""
    write: float = 20.0
    """For a client that does not read: an answer must have left our buffers by then."""
    idle: float = 100.0
    """Between two requests. Longer than the 90 s of Go's client (kube-apiserver, kubectl, every Go
    relying party) and the 60 s of nginx and most balancers: the side that would send next closes
    first, so no POST meets a connection that we are just closing."""
    discard: float = 2.0
    """How long what a refused client still sends is read and dropped, so that it gets the answer
    and not a connection reset."""
    sweep: float = 1.0

    head_bytes: int = 32 * 1024
    target_bytes: int = 16 * 1024
    headers: int = 100
    body_bytes: int = 64 * 1024
    pending_bytes: int = 16 * 1024 * 1024
    """Of all request bodies that have begun and not ended; bounds what slow senders cost."""
    discard_bytes: int = 4 * 1024 * 1024
    connections: int = 4096
    pipelined: int = 16
    """Requests of one connection that may wait for an answer before reading stops."""
