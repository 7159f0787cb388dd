"""What a `HostileDirectory` was told, and what it was sent: both shared by its connections."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from tests.kit.hostile_directory.behaviours import Behaviour, Operation
from tests.kit.hostile_directory.requests import Request

T = TypeVar("T", bound=Request)

# Of a connection that was just opened there is no request yet.
Condition = Callable[[Request | None], bool]


@dataclass(slots=True)
class _Order:
    behaviour: Behaviour
    times: int | None
    when: Condition


class Script:
    """Orders by operation; the first one that applies is followed, and used up by that."""

    def __init__(self) -> None:
        """Start with none: everything is answered truly."""
        self._lock = threading.Lock()
        self._orders: dict[Operation, list[_Order]] = {}

    def add(
        self, operation: Operation, behaviour: Behaviour, *, times: int | None, when: Condition
    ) -> None:
        """Order a behaviour for the next `times` operations, or all, that `when` agrees to."""
        with self._lock:
            self._orders.setdefault(operation, []).append(_Order(behaviour, times, when))

    def clear(self) -> None:
        """Forget all orders."""
        with self._lock:
            self._orders.clear()

    def next(self, operation: Operation, request: Request | None) -> Behaviour | None:
        """Return what is to be done, None for the true answer."""
        with self._lock:
            for order in self._orders.get(operation, []):
                if order.times == 0 or not order.when(request):
                    continue
                if order.times is not None:
                    order.times -= 1
                return order.behaviour
        return None


@dataclass(slots=True)
class SeenConnection:
    """What came on a connection, apart from requests.

    `tls` is "" without TLS, the version once it is agreed on, or why it was not. `garbage` is what
    is no LDAP, from there to the end.
    """

    number: int
    tls: str = ""
    garbage: bytes = b""
    is_open: bool = True


@dataclass(slots=True)
class Seen:
    """All that was sent, in the order that it came."""

    connections: list[SeenConnection] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def of(self, kind: type[T]) -> Sequence[T]:
        """Return the requests of a kind."""
        return [request for request in self.requests if isinstance(request, kind)]
