"""Clients that requests look into while they are changed in place."""

from collections.abc import Iterator, Mapping
from typing import Any

from idp.oauth.client import Client


class ServedClients(Mapping[str, Client]):
    """Clients by id. A look into it is one step, and iterating bears with changes."""

    def __init__(self) -> None:
        self._clients: dict[str, Client] = {}

    def __getitem__(self, client_id: str) -> Client:
        return self._clients[client_id]

    def __contains__(self, client_id: object) -> bool:
        return client_id in self._clients

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._clients))

    def __len__(self) -> int:
        return len(self._clients)

    def get(self, client_id: str, default: Any = None) -> Any:
        """Return a client, or the default; in one step, as every request asks."""
        return self._clients.get(client_id, default)

    def serve(self, client: Client) -> None:
        """Serve a client as it is now."""
        self._clients[client.id] = client

    def withdraw(self, client_id: str) -> None:
        """Serve a client no more, if it was."""
        self._clients.pop(client_id, None)
