"""The chart in a real API server: installed, upgraded, uninstalled. No kubelet runs the pods."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.charts.cases import EVERYTHING, notes
from tests.charts.rights import TABLE, Right, rights_listed
from tests.kit.install.binaries import Binaries
from tests.kit.servers.chart_role import MINIMAL, account_kubeconfig, install_chart_role
from tests.kit.servers.helm import CHART, Helm
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.rbac import wait_for_rules

pytestmark = pytest.mark.servers

NAMESPACE = "idp"
_GRANT = {
    "apiVersion": "state.kube-idp.dev/v1beta1",
    "kind": "RefreshGrant",
    "metadata": {"name": "kept", "namespace": NAMESPACE},
    "spec": {"sealed": "nothing"},
}


@pytest.fixture(scope="module")
def installed(kube: KubeApiServer, cluster_helm: Helm) -> Iterator[KubeApiServer]:
    """Yield the API server with the smallest installation, in a namespace that admits little."""
    kube.kubectl("create", "namespace", NAMESPACE).check()
    enforced = [f"pod-security.kubernetes.io/{mode}=restricted" for mode in ("enforce", "warn")]
    kube.kubectl("label", "namespace", NAMESPACE, *enforced).check()
    answer = cluster_helm("install", "kube-idp", CHART, "-n", NAMESPACE, values=MINIMAL)
    answer.check()
    assert "PodSecurity" not in answer.stderr
    crds = ("crd", "--all", "--timeout=50s", "--for=condition=Established")
    kube.kubectl("wait", *crds).check()
    role: dict[str, Any] = kube.kubectl(
        "-n", NAMESPACE, "get", "role", "kube-idp", "-o", "json"
    ).document()
    wait_for_rules(kube, namespace=NAMESPACE, account="kube-idp", rules=role["rules"])
    yield kube
    cluster_helm("uninstall", "kube-idp", "-n", NAMESPACE, "--ignore-not-found").check()


def test_everything_is_accepted(installed: KubeApiServer, cluster_helm: Helm) -> None:
    """With every switch on; the CRDs are of the first release."""
    values = {**MINIMAL, **EVERYTHING, "crds": {"install": False}}

    answer = cluster_helm(
        "install", "whole-idp", CHART, "-n", "whole", "--create-namespace", values=values
    )

    answer.check()
    assert "level=WARN" not in answer.stderr
    assert "unknown field" not in answer.stderr
    assert installed.kubectl("-n", "whole", "get", "cm", "whole-idp-more").status == 0
    cluster_helm("uninstall", "whole-idp", "-n", "whole").check()


@pytest.mark.covers("R-95")
def test_account_has_the_rights_of_the_table_and_no_other(installed: KubeApiServer) -> None:
    assert _rights(installed, "kube-idp") - _rights(installed, "nobody") == TABLE


@pytest.mark.covers("R-95")
def test_token_of_the_account_does_what_the_table_says(
    installed: KubeApiServer, tmp_path: Path
) -> None:
    config = account_kubeconfig(
        installed, tmp_path / "config", namespace=NAMESPACE, account="kube-idp"
    )

    def run(*arguments: str, stdin: str | None = None) -> str:
        answer = installed.kubectl(*arguments, kubeconfig=config, stdin=stdin)
        return "allowed" if answer.status == 0 else answer.stderr

    assert run("get", "oidcclients") == "allowed"
    assert run("apply", "--server-side", "-f", "-", stdin=_secret("kube-idp-sealing-keys")) == (
        "allowed"
    )
    assert run("get", "secret", "kube-idp-sealing-keys") == "allowed"
    assert "forbidden" in run("apply", "--server-side", "-f", "-", stdin=_secret("another"))
    assert "forbidden" in run("get", "secret", "kube-idp-config")
    assert "forbidden" in run("get", "secrets")
    assert "forbidden" in run("get", "oidcclients", "--namespace", "default")
    assert "forbidden" in run("delete", "userstate", "somebody")


@pytest.mark.covers("R-96")
def test_pod_is_admitted_where_little_is(installed: KubeApiServer) -> None:
    template = _deployment(installed)["spec"]["template"]
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "one", "namespace": NAMESPACE},
        "spec": template["spec"],
    }

    admitted = _dry_run(installed, pod)
    pod["spec"]["containers"][0]["securityContext"] = {}
    refused = _dry_run(installed, pod)

    assert admitted == ""
    assert 'violates PodSecurity "restricted' in refused


def test_upgrade_changes_what_changed(installed: KubeApiServer, cluster_helm: Helm) -> None:
    before = _deployment(installed)
    values = {**MINIMAL, "replicaCount": 3}

    cluster_helm("upgrade", "kube-idp", CHART, "-n", NAMESPACE, values=values).check()

    after = _deployment(installed)
    assert after["spec"]["replicas"] == 3
    # `throttle.replicas` follows, so the pods are rolled.
    assert _checksum(before) != _checksum(after)


def test_number_of_replicas_is_the_autoscalers(
    installed: KubeApiServer, cluster_helm: Helm
) -> None:
    """As the README says: one that was scaled by hand stays what it is; Helm's own becomes 1."""
    upgrade = ("upgrade", "kube-idp", CHART, "-n", NAMESPACE)
    scaling = {**MINIMAL, "autoscaling": {"enabled": True}}
    scale = ("-n", NAMESPACE, "scale", "deployment", "kube-idp", "--replicas=4")
    installed.kubectl(*scale).check()

    cluster_helm(*upgrade, values=scaling).check()
    cluster_helm(*upgrade, "--set", "podAnnotations.changed=yes", values=scaling).check()

    assert _deployment(installed)["spec"]["replicas"] == 4
    fixed = cluster_helm(*upgrade, values=MINIMAL)
    assert 'conflict with "kubectl" with subresource "scale"' in fixed.stderr
    cluster_helm(*upgrade, "--force-conflicts", values=MINIMAL).check()
    assert _deployment(installed)["spec"]["replicas"] == 2
    cluster_helm(*upgrade, values=scaling).check()
    assert _deployment(installed)["spec"]["replicas"] == 1


def test_upgrade_brings_new_crds(
    installed: KubeApiServer, cluster_helm: Helm, tmp_path: Path
) -> None:
    newer = shutil.copytree(CHART, tmp_path / "idp")
    file = newer / "crd-files" / "oidcclients.kube-idp.dev.yaml"
    file.write_text(file.read_text().replace("shortNames: [oc]", "shortNames: [oc, newer]"))

    cluster_helm("upgrade", "kube-idp", newer, "-n", NAMESPACE, values=MINIMAL).check()

    crd = installed.kubectl("get", "crd", "oidcclients.kube-idp.dev", "-o", "json").document()
    assert "newer" in str(crd["spec"])
    cluster_helm("upgrade", "kube-idp", CHART, "-n", NAMESPACE, values=MINIMAL).check()


def test_second_release_does_not_take_the_crds(
    installed: KubeApiServer, cluster_helm: Helm
) -> None:
    answer = cluster_helm(
        "install", "kube-idp", CHART, "-n", "second", "--create-namespace", values=MINIMAL
    )

    assert "invalid ownership metadata" in answer.stderr


def test_client_of_the_notes_is_accepted(installed: KubeApiServer, helm: Helm) -> None:
    _, _, rest = notes(helm, {}).partition("<<EOF\n")
    client, _, _ = rest.partition("  EOF")

    installed.kubectl("-n", NAMESPACE, "apply", "-f", "-", stdin=client).check()


def test_uninstalling_keeps_logins_and_keys(installed: KubeApiServer, cluster_helm: Helm) -> None:
    for kept in (json.dumps(_GRANT), _secret("kube-idp-sealing-keys")):
        installed.kubectl("-n", NAMESPACE, "apply", "--server-side", "-f", "-", stdin=kept).check()

    cluster_helm("uninstall", "kube-idp", "-n", NAMESPACE).check()

    found = installed.kubectl("-n", NAMESPACE, "get", "refreshgrants,secrets", "-o", "name").check()
    assert set(found.split()) == {
        "refreshgrant.state.kube-idp.dev/kept",
        "secret/kube-idp-sealing-keys",
    }
    assert installed.kubectl("-n", NAMESPACE, "get", "deployments", "-o", "name").check() == ""
    cluster_helm("install", "kube-idp", CHART, "-n", NAMESPACE, values=MINIMAL).check()
    installed.kubectl("-n", NAMESPACE, "get", "refreshgrant", "kept").check()


@pytest.mark.covers("R-95")
def test_kit_installs_exactly_these_rights(
    kube: KubeApiServer, binaries: Binaries, tmp_path: Path
) -> None:
    config = install_chart_role(kube, binaries, namespace="kit", directory=tmp_path)

    who = kube.kubectl("auth", "whoami", "-o", "json", kubeconfig=config).document()
    assert "system:serviceaccount:kit:kube-idp" in str(who)
    assert kube.kubectl("get", "secrets", kubeconfig=config).stderr.endswith(
        'in the namespace "kit"\n'
    )
    listed = kube.kubectl("auth", "can-i", "--list", "--no-headers", kubeconfig=config)
    assert rights_listed(listed.check()) >= TABLE


def _rights(kube: KubeApiServer, account: str) -> set[Right]:
    user = f"system:serviceaccount:{NAMESPACE}:{account}"
    listing = ("auth", "can-i", "--list", "--no-headers", "-n", NAMESPACE, "--as", user)
    return rights_listed(kube.kubectl(*listing).check())


def _deployment(kube: KubeApiServer) -> dict[str, Any]:
    return kube.kubectl("-n", NAMESPACE, "get", "deployment", "kube-idp", "-o", "json").document()


def _checksum(deployment: dict[str, Any]) -> str:
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    return str(annotations["checksum/config"])


def _dry_run(kube: KubeApiServer, pod: dict[str, Any]) -> str:
    return kube.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod)).stderr


def _secret(name: str) -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "data": {"keys": "bm90aGluZw=="},
        }
    )
