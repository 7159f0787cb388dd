"""What Helm prints after an installation: the way on, and warnings where something is doubtful."""

from collections.abc import Mapping

import pytest
import yaml

from tests.charts.cases import ISSUER, notes
from tests.kit.servers.helm import Helm

pytestmark = pytest.mark.servers


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "port-forward service/kube-idp 5556:http"),
        ({"tls": {"existingSecret": "login-tls"}}, "port-forward service/kube-idp 5556:https"),
        ({"ingress": {"enabled": True}}, f"curl {ISSUER}/.well-known/openid-configuration"),
        ({}, "WARNING: no certificate is configured here"),
        ({}, "WARNING: state is sealed with keys in the Secret kube-idp-sealing-keys"),
        ({"ingress": {"enabled": True}}, "WARNING: behind an Ingress everybody seems to come from"),
        ({"config": {"issuer": "http://localhost:5556"}}, "WARNING: the issuer is http"),
        ({"replicaCount": 1}, "WARNING: one replica"),
        (
            {"replicaCount": 1, "config": {"issuer": ISSUER, "storage": {"type": "memory"}}},
            "WARNING: state is kept in memory",
        ),
        (
            {
                "config": {
                    "issuer": ISSUER,
                    "storage": {"type": "kubernetes", "config": {"crdHandling": "ensure"}},
                }
            },
            "WARNING: crdHandling ensure needs rights",
        ),
    ],
)
def test_notes_say(helm: Helm, values: Mapping[str, object], words: str) -> None:
    assert words in notes(helm, values)


def test_good_installation_is_warned_of_nothing(helm: Helm) -> None:
    store = {"type": "kubernetes", "config": {"keyFile": "/etc/keys/keys"}}
    proxy = {"header": "X-Forwarded-For", "trustedProxies": ["10.0.7.0/24"]}
    values = {
        "config": {"issuer": ISSUER, "storage": store, "web": {"clientRemoteIP": proxy}},
        "ingress": {"enabled": True, "tls": [{"secretName": "tls", "hosts": ["a"]}]},
    }

    assert "WARNING" not in notes(helm, values)


def test_snippet_for_the_api_server_is_whole(helm: Helm) -> None:
    _, _, rest = notes(helm, {}).partition("--authentication-config file:\n")
    snippet, _, _ = rest.partition("\nor with flags")

    config = yaml.safe_load(snippet)
    assert config["kind"] == "AuthenticationConfiguration"
    assert config["jwt"][0]["issuer"] == {"url": ISSUER, "audiences": ["kubernetes"]}
