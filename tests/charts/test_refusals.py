"""Values that cannot work are refused before anything is created, in words."""

from collections.abc import Mapping

import pytest

from tests.charts.cases import ISSUER
from tests.kit.servers.chart_role import MINIMAL
from tests.kit.servers.helm import CHART, Helm

pytestmark = pytest.mark.servers


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"replicacount": 3}, "at '': additional properties 'replicacount' not allowed"),
        ({"replicaCount": "three"}, "at '/replicaCount': got string, want integer"),
        ({"image": {"pullpolicy": "Always"}}, "at '/image': additional properties 'pullpolicy'"),
        ({"image": {"pullPolicy": "always"}}, "at '/image/pullPolicy': value must be one of"),
        ({"config": {"staticClient": []}}, "at '/config': additional properties 'staticClient'"),
        ({"config": {"grpc": {"addr": ":1"}}}, "at '/config': additional properties 'grpc'"),
        ({"config": {"enablePasswordDB": "yes"}}, "at '/config/enablePasswordDB': got string"),
        ({"rbac": {"secretNames": ["a b"]}}, "at '/rbac/secretNames/0': 'a b' does not match"),
        ({"service": {"ports": {"http": {"port": 0}}}}, "at '/service/ports/http/port'"),
        ({"ingress": {"hosts": [{"host": "a"}]}}, "at '/ingress/hosts/0': missing property"),
        ({"podDisruptionBudget": {"maxUnavailable": "half"}}, "at '/podDisruptionBudget/maxUn"),
        ({"commonLabels": {"a": 1}}, "at '/commonLabels/a': got number, want string"),
    ],
)
def test_schema_names_the_key(helm: Helm, values: Mapping[str, object], sentence: str) -> None:
    assert sentence in _refusal(helm, {**MINIMAL, **values})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"config": {}}, "config.issuer: give the URL that clients know the provider by"),
        ({"image": {}}, "image.repository: name the image to run"),
        ({"existingConfigSecret": "mine"}, "give `config` or `existingConfigSecret`, not both"),
        (
            {"existingConfigSecret": "mine", "config": {}, "ingress": {"enabled": True}},
            "ingress.hosts: name the host",
        ),
        (
            {"config": {"issuer": ISSUER, "storage": {"type": "memory"}}},
            "replicaCount: with config.storage.type memory each replica has state of its own",
        ),
        (
            {"config": {"issuer": ISSUER, "telemetry": {"http": "nowhere"}}},
            "config.telemetry.http: the probes need a port",
        ),
        (
            {
                "config": {
                    "issuer": ISSUER,
                    "storage": {"type": "kubernetes", "config": {"namespace": "other"}},
                }
            },
            "config.storage.config.namespace: the Role is for the namespace of the release",
        ),
        (
            {"env": [{"name": "KUBERNETES_POD_NAMESPACE", "value": "other"}]},
            "env: KUBERNETES_POD_NAMESPACE is set by the chart",
        ),
    ],
)
def test_what_cannot_work_together_is_said(
    helm: Helm, values: Mapping[str, object], sentence: str
) -> None:
    assert sentence in _refusal(helm, {**MINIMAL, **values})


def test_old_cluster_is_refused(helm: Helm) -> None:
    answer = helm("template", "kube-idp", CHART, "--kube-version", "1.29.9", values=MINIMAL)

    assert "chart requires kubeVersion: >=1.30.0-0" in answer.stderr


def _refusal(helm: Helm, values: Mapping[str, object]) -> str:
    answer = helm("template", "kube-idp", CHART, values=values)
    assert answer.status == 1
    assert answer.stdout == ""
    return answer.stderr
