"""Makes an API server trust a provider, in both of the ways that it has."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx

from tests.kit.relying_party import SignInFailed
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.kube_api_server import KubeApiServer

PREFIX = "oidc:"
DEPARTMENT = "example.com/department"
"""Where the API server puts the claim `department` of a user, as docs/kubernetes.md shows it."""

_DEPARTMENT_CLAIM = "has(claims.department) ? claims.department : []"


class NotTrusted(Exception):
    """The API server did not come to accept good tokens in time."""


def authentication_config(
    issuer: str, *, audience: str, ca: CertificateAuthority
) -> Mapping[str, object]:
    """Return an AuthenticationConfiguration: user names are emails, `PREFIX` before everything.

    It says one thing more than flags can: where a claim of the operator's own goes.
    """
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [
            {
                "issuer": {
                    "url": issuer,
                    "audiences": [audience],
                    "certificateAuthority": ca.pem,
                },
                "claimMappings": {
                    "username": {"claim": "email", "prefix": PREFIX},
                    "groups": {"claim": "groups", "prefix": PREFIX},
                    "extra": [{"key": DEPARTMENT, "valueExpression": _DEPARTMENT_CLAIM}],
                },
            }
        ],
    }


def oidc_flags(issuer: str, *, audience: str, ca_file: Path) -> Sequence[str]:
    """Return flags that say the same as `authentication_config`, but for the extra."""
    return [
        f"--oidc-issuer-url={issuer}",
        f"--oidc-client-id={audience}",
        f"--oidc-ca-file={ca_file}",
        "--oidc-username-claim=email",
        f"--oidc-username-prefix={PREFIX}",
        "--oidc-groups-claim=groups",
        f"--oidc-groups-prefix={PREFIX}",
    ]


def wait_until_trusted(
    kube: KubeApiServer, fresh_token: Callable[[], str], *, within: float = 60
) -> None:
    """Return when the API server accepts a token of its provider.

    It reads discovery in the background after its start, and refuses everything until then. Nor
    does a provider sign anybody in just after the restart of the API server that is its store.
    """
    deadline = time.monotonic() + within
    problem = ""
    while problem := _problem(kube, fresh_token):
        if time.monotonic() > deadline:
            raise NotTrusted(f"{problem} after {within} s")
        time.sleep(0.1)


def _problem(kube: KubeApiServer, fresh_token: Callable[[], str]) -> str:
    try:
        accepted = kube.whoami(fresh_token()) is not None
    except (SignInFailed, httpx.HTTPStatusError, httpx.TransportError) as error:
        return f"nobody can sign in: {error}"
    return "" if accepted else "the API server accepts no token"
