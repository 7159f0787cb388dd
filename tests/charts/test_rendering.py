"""What the chart renders to. Only Helm is needed, no cluster."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from idp.settings import load
from storage.kubernetes import crds
from tests.charts.cases import EVERYTHING, ISSUER, Render, config
from tests.charts.rights import TABLE, rights_of
from tests.kit.servers.chart_role import MINIMAL
from tests.kit.servers.helm import CHART, Helm, Rendered

pytestmark = pytest.mark.servers


def test_lint_finds_nothing(helm: Helm) -> None:
    for values in ({}, MINIMAL, {**MINIMAL, **EVERYTHING}):
        assert (
            "1 chart(s) linted, 0 chart(s) failed"
            in helm("lint", "--strict", CHART, values=values).check()
        )


def test_minimum_is_seven_objects_and_the_crds(render: Render) -> None:
    kinds = render().kinds()

    assert kinds.count("CustomResourceDefinition") == len(crds.manifests())
    assert [kind for kind in kinds if kind != "CustomResourceDefinition"] == [
        "Deployment",
        "PodDisruptionBudget",
        "Role",
        "RoleBinding",
        "Secret",
        "Service",
        "ServiceAccount",
    ]


def test_no_name_is_rendered_twice(render: Render) -> None:
    names = [(found["kind"], found["metadata"]["name"]) for found in _everything(render).objects]

    assert len(names) == len(set(names))


def test_nothing_changes_from_one_rendering_to_the_next(render: Render) -> None:
    assert _everything(render).objects == _everything(render).objects


@pytest.mark.covers("R-96")
def test_contexts_leave_nothing_to_break_out_with(render: Render) -> None:
    rendered = render()

    assert rendered.container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert rendered.pod()["securityContext"]["runAsNonRoot"] is True
    assert rendered.pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    writable = {volume["name"] for volume in rendered.pod()["volumes"] if "emptyDir" in volume}
    assert writable == {"tmp"}


@pytest.mark.covers("R-96")
def test_token_is_mounted_only_where_it_is_used(render: Render) -> None:
    in_cluster = render()
    elsewhere = render(config=config(inCluster=False, kubeConfigFile="/etc/other/kubeconfig"))

    for rendered in (in_cluster, elsewhere):
        assert rendered.pod()["automountServiceAccountToken"] is False
        assert rendered.one("ServiceAccount")["automountServiceAccountToken"] is False
    assert "serviceAccountToken" in str(in_cluster.pod()["volumes"])
    assert "serviceAccountToken" not in str(elsewhere.pod()["volumes"])


@pytest.mark.covers("R-96")
def test_replicas_are_spread_and_drained_one_by_one(render: Render) -> None:
    rendered = render()
    labels = rendered.one("Deployment")["spec"]["selector"]["matchLabels"]

    assert rendered.one("Deployment")["spec"]["replicas"] == 2
    assert rendered.one("Deployment")["spec"]["strategy"]["rollingUpdate"] == {
        "maxSurge": 1,
        "maxUnavailable": 0,
    }
    assert rendered.one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert rendered.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    spread = rendered.pod()["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in spread] == [
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    ]
    assert all(each["labelSelector"]["matchLabels"] == labels for each in spread)
    assert "PodDisruptionBudget" not in render(replicaCount=1).kinds()


def test_autoscaler_owns_the_number_of_replicas(render: Render) -> None:
    rendered = render(autoscaling={"enabled": True, "maxReplicas": 7})

    assert "replicas" not in rendered.one("Deployment")["spec"]
    assert rendered.one("HorizontalPodAutoscaler")["spec"]["maxReplicas"] == 7
    assert rendered.config()["throttle"]["replicas"] == 7


def test_limits_on_guessing_are_shared_by_the_replicas(render: Render) -> None:
    given = render(config={"issuer": ISSUER, "throttle": {"replicas": 9}})

    assert render(replicaCount=3).config()["throttle"]["replicas"] == 3
    assert render(replicaCount=0).config()["throttle"]["replicas"] == 1
    assert given.config()["throttle"]["replicas"] == 9


def test_pods_leave_without_losing_a_request(render: Render) -> None:
    assert render().container()["lifecycle"] == {"preStop": {"sleep": {"seconds": 8}}}
    assert render().pod()["terminationGracePeriodSeconds"] == 45


def test_change_of_the_configuration_rolls_the_pods(render: Render) -> None:
    annotations = render().one("Deployment")["spec"]["template"]["metadata"]["annotations"]

    digest = hashlib.sha256(render().config_text().encode()).hexdigest()
    assert annotations["checksum/config"] == digest


def test_configuration_is_in_a_secret_of_somebody_else(render: Render) -> None:
    rendered = render(config={}, existingConfigSecret="mine", tls={"existingSecret": "cert"})

    assert "Secret" not in rendered.kinds()
    assert "annotations" not in rendered.one("Deployment")["spec"]["template"]["metadata"]
    sources = rendered.pod()["volumes"][0]["projected"]["sources"]
    assert [source["secret"]["name"] for source in sources] == ["mine", "cert"]
    assert _ports(rendered) == {"https": 5554, "telemetry": 5558}
    assert rights_of(rendered.one("Role")["rules"]) == TABLE


def test_service_leads_to_what_the_configuration_listens_on(render: Render) -> None:
    plain = render()
    moved = render(config={"issuer": ISSUER, "web": {"http": "[::]:8080"}})
    tls = render(tls={"existingSecret": "login-tls"})

    assert _ports(plain) == {"http": 5556, "telemetry": 5558}
    assert _ports(moved) == {"http": 8080, "telemetry": 5558}
    assert _ports(tls) == {"https": 5554, "telemetry": 5558}
    for rendered, name in ((plain, "http"), (moved, "http"), (tls, "https")):
        (port,) = rendered.one("Service")["spec"]["ports"]
        assert (port["name"], port["targetPort"]) == (name, name)


def test_ingress_is_for_the_issuer(render: Render) -> None:
    rendered = render(config={"issuer": f"{ISSUER}/idp"}, ingress={"enabled": True})

    (rule,) = rendered.one("Ingress")["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert (rule["host"], path["path"], path["pathType"]) == ("login.example.com", "/idp", "Prefix")
    assert path["backend"]["service"]["port"] == {"name": "http"}


@pytest.mark.covers("R-96")
def test_network_policy_keeps_metrics_to_whom_they_are_for(render: Render) -> None:
    closed = render(networkPolicy={"enabled": True}).one("NetworkPolicy")["spec"]
    opened = _everything(render).one("NetworkPolicy")["spec"]

    assert closed["ingress"] == [{"ports": [{"port": "http"}]}]
    assert closed["policyTypes"] == ["Ingress"]
    assert opened["ingress"][1]["ports"] == [{"port": "telemetry"}]
    assert {port["port"] for port in opened["egress"][0]["ports"]} == {53}
    assert opened["policyTypes"] == ["Ingress", "Egress"]


def test_labels_of_somebody_never_replace_those_that_select(render: Render) -> None:
    mine = {"app.kubernetes.io/name": "mine", "team": "identity"}
    rendered = render(commonLabels=mine, podLabels=mine)
    template = rendered.one("Deployment")["spec"]["template"]["metadata"]["labels"]

    assert template["app.kubernetes.io/name"] == "idp"
    assert template["team"] == "identity"
    for found in rendered.objects:
        assert found["metadata"]["labels"]["team"] == "identity", found["kind"]


def test_crds_are_kept_unless_that_is_switched_off(render: Render) -> None:
    files = {
        file.stem: yaml.safe_load(file.read_text()) for file in (CHART / "crd-files").glob("*")
    }
    keep = "helm.sh/resource-policy"

    kept = render().all("CustomResourceDefinition")
    dropped = render(crds={"keep": False}).all("CustomResourceDefinition")

    assert {found["metadata"]["name"]: found["spec"] for found in kept} == {
        name: found["spec"] for name, found in files.items()
    }
    for found in kept:
        own = files[found["metadata"]["name"]]["metadata"]
        assert found["metadata"]["annotations"] == {keep: "keep", **own.get("annotations", {})}
    assert not [found for found in dropped if keep in found["metadata"].get("annotations", {})]
    assert render(crds={"install": False}).all("CustomResourceDefinition") == []


def test_objects_are_where_they_are_wanted(render: Render) -> None:
    rendered = render("--namespace", "release", namespaceOverride="elsewhere")

    places = {
        found["metadata"]["namespace"]
        for found in rendered.objects
        if found["kind"] != "CustomResourceDefinition"
    }
    assert places == {"elsewhere"}
    assert rendered.one("RoleBinding")["subjects"][0]["namespace"] == "elsewhere"


def test_image_is_pinned_by_its_digest(render: Render) -> None:
    digest = f"sha256:{'0' * 64}"

    assert render().container()["image"] == "registry.example.com/kube-idp:0.1.0.dev0"
    pinned = render(image={"repository": "r/kube-idp", "tag": "1", "digest": digest})
    assert pinned.container()["image"] == f"r/kube-idp@{digest}"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"replicaCount": 3},
        {"tls": {"existingSecret": "login-tls"}},
        {"rbac": {"generateClientSecrets": True}},
        {"replicaCount": 1, "config": {"issuer": ISSUER, "storage": {"type": "memory"}}},
        {"config": {"issuer": ISSUER, "telemetry": {"http": "127.0.0.1:1"}}},
        {"config": {"issuer": ISSUER, "web": {"https": ":1", "tlsCert": "c", "tlsKey": "k"}}},
        {"config": EVERYTHING["config"]},
    ],
)
def test_provider_accepts_the_configuration(
    render: Render, tmp_path: Path, values: Mapping[str, object]
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(render(**values).config_text())

    load(path, environ={"SECRET": "a secret that is long enough"})


def _everything(render: Render) -> Rendered:
    return render(**EVERYTHING)


def _ports(rendered: Rendered) -> Mapping[str, int]:
    return {port["name"]: port["containerPort"] for port in rendered.container()["ports"]}
