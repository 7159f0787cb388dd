"""Values that several files render the chart with, and what they read of the answers."""

from collections.abc import Callable, Mapping
from typing import Any

from tests.kit.servers.chart_role import MINIMAL
from tests.kit.servers.helm import CHART, Helm, Rendered

Render = Callable[..., Rendered]
"""Renders the chart: whole top-level values replace those of `MINIMAL`."""

ISSUER = "https://login.example.com"
EVERYTHING: Mapping[str, Any] = {
    "config": {
        "issuer": f"{ISSUER}/idp",
        "oauth2": {"skipApprovalScreen": True},
        "staticClients": [{"id": "0123", "secret": "${env:SECRET}", "redirectURIs": [ISSUER]}],
    },
    "commonLabels": {"team": "identity"},
    "autoscaling": {"enabled": True, "targetMemoryUtilizationPercentage": 70},
    "ingress": {"enabled": True, "className": "nginx", "annotations": {"a": "b"}},
    "networkPolicy": {
        "enabled": True,
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
        "egressRules": [{"to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}], "ports": [{"port": 443}]}],
    },
    "rbac": {"aggregate": True, "secretNames": ["harbor"], "generateClientSecrets": True},
    "env": [{"name": "SECRET", "value": "not in the open, elsewhere"}],
    "imagePullSecrets": [{"name": "registry"}],
    "service": {"type": "NodePort", "ports": {"http": {"nodePort": 30080}}},
    "extraObjects": [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": '{{ include "idp.fullname" . }}-more'},
        }
    ],
}
"""Every switch of the chart on."""


def config(**store: object) -> Mapping[str, object]:
    """Return a configuration with these keys for the Kubernetes store."""
    return {"issuer": ISSUER, "storage": {"type": "kubernetes", "config": store}}


def notes(helm: Helm, values: Mapping[str, object]) -> str:
    """Return what an installation would print."""
    dry = helm("install", "kube-idp", CHART, "--dry-run=client", values={**MINIMAL, **values})
    _, _, found = dry.check().partition("\nNOTES:\n")
    return found
