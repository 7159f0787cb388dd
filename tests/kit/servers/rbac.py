"""What a group may do in the cluster while a test file needs it, and not after it.

The API server outlives the test files of a run: a binding that stays would let people of the next
file do what its tests say is refused.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.kit.servers.kube_api_server import KubeApiServer

_PATIENCE_SECONDS = 10


class NotGranted(Exception):
    """The API server did not come to allow what was granted in time."""


@contextmanager
def pods_listed_by(kube: KubeApiServer, group: str) -> Iterator[None]:
    """Let `group`, as the API server names it, list pods, by a role that is made for it.

    Raises:
        NotGranted: the authorizer still refuses after ten seconds.
    """
    name = f"pods-listed-by-{group.replace(':', '-')}"
    kube.kubectl("create", "clusterrole", name, "--verb=list", "--resource=pods").check()
    bound = (f"--clusterrole={name}", f"--group={group}")
    try:
        kube.kubectl("create", "clusterrolebinding", name, *bound).check()
        _wait_until_granted(kube, group)
        yield
    finally:
        kube.kubectl("delete", f"clusterrolebinding/{name}", f"clusterrole/{name}").check()


def _wait_until_granted(kube: KubeApiServer, group: str) -> None:
    """The authorizer hears of bindings by a watch of its own."""
    somebody = ("--as=somebody", f"--as-group={group}")
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while kube.kubectl("auth", "can-i", "list", "pods", *somebody).status:
        if time.monotonic() > deadline:
            raise NotGranted(group)
        time.sleep(0.1)
