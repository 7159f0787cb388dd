"""The rights that the chart gives to the provider, for tests that run with exactly these.

`chart_rules` is the Role as the chart renders it: hand it to `kubernetes_store`, whole or with a
verb taken away. `install_chart_role` installs ServiceAccount, Role and RoleBinding themselves, and
answers with a kubeconfig of that account. Both need nothing but Helm; no CRD is installed.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.kit.install.binaries import Binaries
from tests.kit.servers.helm import Helm, Rendered, Values
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubectl import bearer_user, write_kubeconfig
from tests.kit.servers.rbac import wait_for_rules

RELEASE = "kube-idp"
"""The release, and so the name of the account, the Role and the binding."""

MINIMAL: Values = {
    "image": {"repository": "registry.example.com/kube-idp"},
    "config": {"issuer": "https://login.example.com"},
}
"""What the chart cannot do without."""

_TEMPLATES = ("serviceaccount.yaml", "role.yaml", "rolebinding.yaml")
_TOKEN_SECONDS = 24 * 3600


def chart_rules(
    binaries: Binaries, *, directory: Path, values: Values | None = None
) -> list[Mapping[str, Any]]:
    """Return the rules of the chart's Role; `values` are added to `MINIMAL`.

    `directory` is for Helm's cache.
    """
    rendered = _render(Helm(binaries.helm, home=directory), namespace="idp", values=values)
    return list(rendered.one("Role")["rules"])


def install_chart_role(
    kube: KubeApiServer,
    binaries: Binaries,
    *,
    namespace: str,
    directory: Path,
    values: Values | None = None,
) -> Path:
    """Install the chart's account and rights in a namespace, which is created if need be.

    Returns a kubeconfig in `directory`, readable by its owner only: a token of that account, good
    for a day, and the namespace as the context's.
    """
    if kube.kubectl("get", "namespace", namespace).status:
        kube.kubectl("create", "namespace", namespace).check()
    rendered = _render(
        Helm(binaries.helm, home=directory / "helm"), namespace=namespace, values=values
    )
    manifests = {"apiVersion": "v1", "kind": "List", "items": list(rendered.objects)}
    kube.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(manifests)).check()
    account = str(rendered.one("ServiceAccount")["metadata"]["name"])
    rules = rendered.one("Role")["rules"]
    wait_for_rules(kube, namespace=namespace, account=account, rules=rules)
    return account_kubeconfig(
        kube, directory / f"{namespace}.kubeconfig", namespace=namespace, account=account
    )


def account_kubeconfig(kube: KubeApiServer, path: Path, *, namespace: str, account: str) -> Path:
    """Write a kubeconfig with a token of a ServiceAccount, as a kubelet would ask for one."""
    duration = f"--duration={_TOKEN_SECONDS}s"
    token = kube.kubectl("-n", namespace, "create", "token", account, duration).check().strip()
    return write_kubeconfig(
        path,
        server=kube.url,
        ca_file=kube.ca_file,
        user=bearer_user(token),
        namespace=namespace,
    )


def _render(helm: Helm, *, namespace: str, values: Values | None) -> Rendered:
    shown = [argument for name in _TEMPLATES for argument in ("--show-only", f"templates/{name}")]
    return helm.render(
        {**MINIMAL, **(values or {})},
        release=RELEASE,
        arguments=["--namespace", namespace, *shown],
    )
