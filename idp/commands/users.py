"""`idp user lock|unlock|logout`: what is said of one person, whichever connector knows them."""

from collections.abc import AsyncIterator
from typing import Any

from idp.commands.cluster import MERGE_PATCH, open_cluster
from idp.commands.console import OK, Console
from idp.commands.targets import Target
from storage.base import AlreadyExists
from storage.kubernetes.api import ApiServer
from storage.kubernetes.resources import STATE_GROUP, VERSION, Resource
from storage.persons import person_key

_USER_STATES = Resource(group=STATE_GROUP, plural="userstates", kind="UserState")
_PAGE = "500"


async def lock(
    console: Console, target: Target, *, connector: str, user_id: str, user: str = ""
) -> int:
    """Keep a person out and end all that they have. `user` is a name for those who read lists."""
    spec = {"connector": connector, "userID": user_id, "locked": True}
    if user:
        spec["user"] = user
    async with open_cluster(target, console) as api:
        await _say(api, connector, user_id, spec)
    console.say(
        f"locked {user_id} of connector {connector}: no login from now on, and no new tokens;"
        " tokens that applications hold already run out by themselves"
    )
    return OK


async def unlock(console: Console, target: Target, *, connector: str, user_id: str) -> int:
    """Let a person in again."""
    async with open_cluster(target, console) as api:
        if await _change(api, connector, user_id, {"locked": False}):
            console.say(f"unlocked {user_id} of connector {connector}")
        else:
            console.complain(f"{user_id} of connector {connector} was not locked.")
    return OK


async def logout(
    console: Console, target: Target, *, connector: str, user_id: str, user: str = ""
) -> int:
    """End every login that a person has; they may sign in again."""
    ended_at = console.clock().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    spec = {"connector": connector, "userID": user_id, "notBefore": ended_at}
    if user:
        spec["user"] = user
    async with open_cluster(target, console) as api:
        await _say(api, connector, user_id, spec)
    console.say(
        f"signed out {user_id} of connector {connector}: every login from before {ended_at} has"
        " ended; ID tokens that applications hold already run out by themselves"
    )
    return OK


async def _say(api: ApiServer, connector: str, user_id: str, spec: dict[str, Any]) -> None:
    """Say something of a person, in every object about them or in a new one."""
    if not await _change(api, connector, user_id, spec):
        await _create(api, connector, user_id, spec)


async def _create(api: ApiServer, connector: str, user_id: str, spec: dict[str, Any]) -> None:
    body = {
        "apiVersion": f"{STATE_GROUP}/{VERSION}",
        "kind": _USER_STATES.kind,
        "metadata": {"name": person_key(connector, user_id)},
        "spec": spec,
    }
    try:
        await api.call("POST", _USER_STATES.path(api.namespace), body=body)
    except AlreadyExists:  # somebody else was quicker
        await _patch(api, person_key(connector, user_id), spec)


async def _change(api: ApiServer, connector: str, user_id: str, spec: dict[str, Any]) -> bool:
    """Change every object about the person; return whether there was one."""
    names = [name async for name in _names(api, connector, user_id)]
    for name in names:
        await _patch(api, name, spec)
    return bool(names)


async def _patch(api: ApiServer, name: str, spec: dict[str, Any]) -> None:
    path = _USER_STATES.path(api.namespace, name)
    await api.call("PATCH", path, body={"spec": spec}, content_type=MERGE_PATCH)


async def _names(api: ApiServer, connector: str, user_id: str) -> AsyncIterator[str]:
    query = {"limit": _PAGE}
    while True:
        page = await api.call("GET", _USER_STATES.path(api.namespace), query=query)
        for item in page["items"]:
            spec = item.get("spec", {})
            if (spec.get("connector"), spec.get("userID")) == (connector, user_id):
                yield item["metadata"]["name"]
        following = page["metadata"].get("continue")
        if not following:
            return
        query = {"limit": _PAGE, "continue": following}
