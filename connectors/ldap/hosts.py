"""Which host is asked first: the order of the configuration, without those that failed just now."""

import threading
from collections.abc import Callable

from connectors.ldap.config import Host

DOWN_SECONDS = 30.0
TRY_SECONDS = 2.0


class Hosts:
    """The hosts of one directory, and until when those that failed stand back."""

    def __init__(
        self,
        hosts: tuple[Host, ...],
        *,
        monotonic: Callable[[], float],
        down_seconds: float = DOWN_SECONDS,
    ) -> None:
        """Hold all of them to be well."""
        self._hosts = hosts
        self._monotonic = monotonic
        self._down_seconds = down_seconds
        self._lock = threading.Lock()
        self._down_until: dict[Host, float] = {}

    def in_order(self) -> tuple[list[Host], list[Host]]:
        """Return the well hosts in their order, and those that are down.

        One that was down for long enough is tried in its old place, by one caller at a time.
        """
        well, down = [], []
        with self._lock:
            now = self._monotonic()
            for host in self._hosts:
                until = self._down_until.get(host)
                if until is not None and until > now:
                    down.append(host)
                    continue
                well.append(host)
                if until is not None:
                    self._down_until[host] = now + TRY_SECONDS
        return well, down

    def failed(self, host: Host) -> bool:
        """Let a host stand back for a while; tell whether it was held to be well."""
        with self._lock:
            was_well = host not in self._down_until
            self._down_until[host] = self._monotonic() + self._down_seconds
        return was_well

    def answered(self, host: Host) -> bool:
        """Hold a host to be well; tell whether it was down."""
        if host not in self._down_until:
            return False
        with self._lock:
            return self._down_until.pop(host, None) is not None
