"""The rights of the provider, once as a table and once as rules say them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

Right = tuple[str, str, str]
"""A resource with its group, the name it is limited to or "", a verb."""


def _rights(resource: str, verbs: str, *, name: str = "") -> set[Right]:
    return {(resource, name, verb) for verb in verbs.split()}


TABLE: frozenset[Right] = frozenset(
    _rights("oidcclients.kube-idp.dev", "list watch")
    | _rights("localusers.kube-idp.dev", "list watch")
    | _rights("identityconnectors.kube-idp.dev", "list watch")
    | _rights("oidcclients.kube-idp.dev/status", "patch")
    | _rights("localusers.kube-idp.dev/status", "patch")
    | _rights("identityconnectors.kube-idp.dev/status", "patch")
    | _rights("events", "create")
    | _rights("refreshgrants.state.kube-idp.dev", "get list watch create update delete")
    | _rights("signingkeyrings.state.kube-idp.dev", "get list watch create update")
    | _rights("usedassertions.state.kube-idp.dev", "list create delete")
    | _rights("userstates.state.kube-idp.dev", "get list watch create patch")
    | _rights("registeredclients.state.kube-idp.dev", "get list watch create update delete")
    | _rights("leases.coordination.k8s.io", "create")
    | _rights("leases.coordination.k8s.io", "get update", name="kube-idp")
    | _rights("secrets", "get create patch", name="kube-idp-sealing-keys")
)
"""What the provider may do in its namespace: all of it is used, and it may do nothing else."""

_LISTED = re.compile(r"^(\S+) +\[(.*?)\] +\[(.*?)\] +\[(.*?)\]$")


def rights_of(rules: Iterable[Mapping[str, Any]]) -> set[Right]:
    """Return the rights that the rules of a Role give."""
    return {
        (_with_group(resource, group), name, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
        for verb in rule["verbs"]
    }


def rights_listed(answer: str) -> set[Right]:
    """Return the rights that `kubectl auth can-i --list --no-headers` shows."""
    found = [_LISTED.match(line) for line in answer.splitlines()]
    return {
        (line[1], name, verb)
        for line in found
        if line is not None
        for name in line[3].split() or [""]
        for verb in line[4].split()
    }


def _with_group(resource: str, group: str) -> str:
    plural, slash, subresource = resource.partition("/")
    return f"{plural}{'.' if group else ''}{group}{slash}{subresource}"
