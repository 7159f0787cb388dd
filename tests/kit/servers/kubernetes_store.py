"""A namespace of an API server, prepared for one provider and its replicas."""

import json
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kit.servers.api_requests import ApiRequests
from tests.kit.servers.fault_proxy import FaultProxy
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubectl import Answer, bearer_user, write_kubeconfig
from tests.kit.servers.rbac import Rule, wait_for_rules

ACCOUNT = "idp"
"""The ServiceAccount of the provider."""

_STATE = "state.kube-idp.dev/v1beta1"
_TOKEN_SECONDS = 24 * 3600


def install_crds(kube: KubeApiServer) -> None:
    """Apply what `idp crds` prints, as people do, and wait until all of it is served."""
    printed = subprocess.run(
        [sys.executable, "-P", "-m", "idp", "crds"], capture_output=True, text=True, check=True
    ).stdout
    kube.kubectl("apply", "--server-side", "-f", "-", stdin=printed).check()
    established = ("--for=condition=Established", "--timeout=50s")
    kube.kubectl("wait", *established, "-f", "-", stdin=printed).check()


@dataclass(frozen=True, slots=True)
class KubernetesStore:
    """A namespace with a ServiceAccount that may do what its Role says, and nothing else."""

    kube: KubeApiServer
    namespace: str
    kubeconfig: Path
    key_file: Path | None = None

    @property
    def section(self) -> Mapping[str, object]:
        """Return the `storage` section."""
        config: dict[str, object] = {"kubeConfigFile": str(self.kubeconfig)}
        if self.key_file is not None:
            config["keyFile"] = str(self.key_file)
        return {"type": "kubernetes", "config": config}

    @property
    def user(self) -> str:
        """The provider's name in the API server's eyes."""
        return f"system:serviceaccount:{self.namespace}:{ACCOUNT}"

    @property
    def api_requests(self) -> ApiRequests:
        """What the provider asks of the API server."""
        return ApiRequests(self.kube, user=self.user)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> Answer:
        """Run kubectl in the namespace as the administrator."""
        return self.kube.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    def apply(self, *objects: Mapping[str, object]) -> None:
        """Apply objects as an administrator does."""
        document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(document)).check()

    def grants(self) -> list[Mapping[str, Any]]:
        """Return the `RefreshGrant` objects."""
        path = f"/apis/{_STATE}/namespaces/{self.namespace}/refreshgrants"
        with self.kube.client(self.kube.admin_token) as client:
            return list(client.get(path).raise_for_status().json()["items"])

    def grants_stored(self) -> int:
        """Return how many logins are kept."""
        return len(self.grants())

    def set_rules(self, rules: Sequence[Rule]) -> None:
        """Let the ServiceAccount do exactly this from now on; return once the API server does."""
        self.apply(_role(rules))
        wait_for_rules(self.kube, namespace=self.namespace, account=ACCOUNT, rules=rules)


def kubernetes_store(
    kube: KubeApiServer,
    *,
    directory: Path,
    rules: Sequence[Rule],
    proxy: FaultProxy | None = None,
    key_file: Path | None = None,
) -> KubernetesStore:
    """Make a namespace; the provider reaches it through `proxy` if there is one."""
    namespace = f"idp-{secrets.token_hex(4)}"
    kube.kubectl("create", "namespace", namespace).check()
    store = KubernetesStore(kube, namespace, directory / "idp.kubeconfig", key_file)
    store.apply(_account(), _role(rules), _binding(namespace))
    wait_for_rules(kube, namespace=namespace, account=ACCOUNT, rules=rules)
    write_kubeconfig(
        store.kubeconfig,
        server=kube.url if proxy is None else proxy.url,
        ca_file=kube.ca_file if proxy is None else proxy.ca_file,
        user=bearer_user(_token(store)),
        namespace=namespace,
    )
    return store


def _account() -> Mapping[str, object]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}}


def _role(rules: Sequence[Rule]) -> Mapping[str, object]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": ACCOUNT},
        "rules": [dict(rule) for rule in rules],
    }


def _binding(namespace: str) -> Mapping[str, object]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": ACCOUNT},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT},
    }


def _token(store: KubernetesStore) -> str:
    """Ask for a token as a kubelet does; nobody else makes any here."""
    answer = store.kubectl("create", "token", ACCOUNT, f"--duration={_TOKEN_SECONDS}s")
    return answer.check().strip()
