"""What a replica keeps in memory of people who gave a consent: `python -m bench.people_held`.

The API server is a stand-in that answers page by page; what is measured is all that the provider
allocates between its first question and its first complete list.
"""

import argparse
import asyncio
import json
import time
import tracemalloc
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from idp.objects.follower import ObjectFollower
from idp.objects.kinds import ObjectSettings, rosters_of
from idp.settings.client_rules import ClientTerms
from storage.kubernetes.api import ApiServer
from storage.kubernetes.objects import KubernetesObjects
from storage.persons import person_key

_SEALED = "x" * 700
"""As long as one consent is, sealed."""


class _Door:
    """Answers lists of `count` people, of whom each `locked_every`th is locked."""

    namespace = "idp"

    def __init__(self, count: int, locked_every: int) -> None:
        self._count = count
        self._locked_every = locked_every

    async def call(self, _method: str, _path: str, *, query: Mapping[str, str], **_: Any) -> Any:
        """Return one page, parsed as an answer is."""
        first, limit = int(query.get("continue", "0")), int(query["limit"])
        numbers = range(first, min(first + limit, self._count))
        following = str(first + limit) if first + limit < self._count else ""
        metadata = {"resourceVersion": "1000", "continue": following}
        items = [self._item(number) for number in numbers]
        return json.loads(json.dumps({"metadata": metadata, "items": items}))

    async def watch(self, _path: str, **_: Any) -> AsyncIterator[Any]:
        """Say nothing for ever."""
        await asyncio.Event().wait()
        yield None

    def _item(self, number: int) -> dict[str, Any]:
        user_id = f"id-of-person-{number}"
        locked = {"locked": True} if self._locked_every and number % self._locked_every == 0 else {}
        return {
            "apiVersion": "state.kube-idp.dev/v1beta1",
            "kind": "UserState",
            "metadata": {
                "name": person_key("ldap", user_id),
                "namespace": self.namespace,
                "uid": f"00000000-0000-4000-8000-{number:012}",
                "generation": 1,
                "resourceVersion": str(number),
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "managedFields": [{}],
            },
            "spec": {
                "connector": "ldap",
                "userID": user_id,
                "user": f"person-{number}",
                "sealed": _SEALED,
                **locked,
            },
        }


async def _listed(count: int, locked_every: int) -> ObjectFollower[Any]:
    """Return a follower that has heard of everybody."""
    source = KubernetesObjects(
        cast(ApiServer, _Door(count, locked_every)),
        identity="bench",
        clock=lambda: datetime.now(UTC),
        monotonic=time.monotonic,
    )
    settings = ObjectSettings(
        static_clients={},
        static_users=(),
        client_terms=ClientTerms(algorithms=("RS256",), longest_tokens=timedelta(hours=1)),
        generates_secrets=False,
        signs_in_local_users=False,
    )
    done = asyncio.Event()
    roster = rosters_of(settings, lambda _: None).states
    follower = ObjectFollower(source, roster, hear=lambda _: None, on_news=done.set)
    job = asyncio.create_task(follower.run())
    await done.wait()
    job.cancel()
    return follower


def main() -> None:
    """Print what is held and what was allocated at most meanwhile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--locked-every", type=int, default=0, help="0 for nobody")
    options = parser.parse_args()
    tracemalloc.start()
    follower = asyncio.run(_listed(options.people, options.locked_every))
    held, most = tracemalloc.get_traced_memory()
    states = sum(follower.roster.counts().values())
    print(
        f"{options.people} people, {states} of them in memory:"
        f" {held / options.people:.0f} bytes each held, {held / 1e6:.1f} MB;"
        f" {most / 1e6:.1f} MB at most while they were listed"
    )


if __name__ == "__main__":
    main()
