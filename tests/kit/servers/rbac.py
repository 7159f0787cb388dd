"""What somebody may do in the cluster, as soon as the API server knows, and for as long as needed.

The API server outlives the test files of a run: a binding that stays would let people of the next
file do what its tests say is refused. And its authorizer hears of roles and bindings by a watch of
its own, a little after they were written: who does not wait for it meets the rights of before.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.waiting import becomes

Rule = Mapping[str, Any]
"""One rule of a Role."""

_PATIENCE_SECONDS = 30
_AUTHORIZATION = "/apis/authorization.k8s.io/v1"
# What everybody may ask: who they are, and what they may do.
_OF_EVERYBODY = frozenset({"authentication.k8s.io", "authorization.k8s.io"})

_Right = tuple[str, str, str, str]


class NotGranted(Exception):
    """The API server did not come to allow what was written, and nothing else, in time."""


@contextmanager
def pods_listed_by(kube: KubeApiServer, group: str) -> Iterator[None]:
    """Let `group`, as the API server names it, list pods, by a role that is made for it.

    Raises:
        NotGranted: the authorizer still refuses after half a minute, or still allows it afterwards.
    """
    name = f"pods-listed-by-{group.replace(':', '-')}"
    kube.kubectl("create", "clusterrole", name, "--verb=list", "--resource=pods").check()
    bound = (f"--clusterrole={name}", f"--group={group}")
    try:
        kube.kubectl("create", "clusterrolebinding", name, *bound).check()
        _wait_until(lambda: _lists_pods(kube, group), f"{group} lists pods")
        yield
    finally:
        kube.kubectl("delete", f"clusterrolebinding/{name}", f"clusterrole/{name}").check()
        _wait_until(lambda: not _lists_pods(kube, group), f"{group} lists no pods")


@contextmanager
def pods_listed_by_file(kube: KubeApiServer, manifest: Path, group: str) -> Iterator[None]:
    """Apply a file of which `group` gets the right to list pods; delete what it made afterwards.

    Raises:
        NotGranted: the authorizer still refuses after half a minute, or still allows it afterwards.
    """
    try:
        kube.kubectl("apply", "-f", str(manifest)).check()
        _wait_until(lambda: _lists_pods(kube, group), f"{group} lists pods")
        yield
    finally:
        kube.kubectl("delete", "--ignore-not-found", "-f", str(manifest)).check()
        _wait_until(lambda: not _lists_pods(kube, group), f"{group} lists no pods")


def wait_for_rules(
    kube: KubeApiServer, *, namespace: str, account: str, rules: Sequence[Rule]
) -> None:
    """Return once a ServiceAccount may do in its namespace exactly what these rules say.

    Raises:
        NotGranted: the authorizer sees it otherwise after half a minute.
    """
    wanted = _rights(rules)
    who = f"system:serviceaccount:{namespace}:{account}"
    _wait_until(lambda: _rights_now(kube, namespace, who) == wanted, f"{who} may do as told")


def _rights_now(kube: KubeApiServer, namespace: str, user: str) -> set[_Right]:
    answer = _ask(
        kube, "selfsubjectrulesreviews", {"namespace": namespace}, {"Impersonate-User": user}
    )
    found = _rights(answer["resourceRules"])
    return {right for right in found if right[0] not in _OF_EVERYBODY}


def _rights(rules: Iterable[Rule]) -> set[_Right]:
    return {
        (group, resource, name, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
        for verb in rule["verbs"]
    }


def _lists_pods(kube: KubeApiServer, group: str) -> bool:
    wanted = {"namespace": "default", "verb": "list", "resource": "pods"}
    asked = {"user": "somebody", "groups": [group], "resourceAttributes": wanted}
    return bool(_ask(kube, "subjectaccessreviews", asked, {})["allowed"])


def _ask(
    kube: KubeApiServer, review: str, spec: Mapping[str, object], headers: Mapping[str, str]
) -> Mapping[str, Any]:
    """Return the status of a review, asked by the administrator."""
    with kube.client(kube.admin_token) as http:
        answer = http.post(f"{_AUTHORIZATION}/{review}", json={"spec": spec}, headers=headers)
    status: Mapping[str, Any] = answer.raise_for_status().json()["status"]
    return status


def _wait_until(is_so: Callable[[], bool], what: str) -> None:
    if not becomes(is_so, within=_PATIENCE_SECONDS):
        raise NotGranted(f"not so after {_PATIENCE_SECONDS} s: {what}")
