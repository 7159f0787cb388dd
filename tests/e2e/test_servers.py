"""The kit itself: the real servers start, and decide as the other tests rely on."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Error as BrowserError

from idp.clock import epoch_seconds, system_clock
from tests.kit.install.binaries import Binaries, find_binaries, is_usable
from tests.kit.servers.browser import Browser, wait_in
from tests.kit.servers.certificates import CertificateAuthority
from tests.kit.servers.etcd import Etcd
from tests.kit.servers.kube_api_server import KubeApiServer
from tests.kit.servers.kubectl import bearer_user
from tests.kit.servers.process import ServerFailed
from tests.kit.servers.rbac import pods_listed_by
from tests.kit.servers.static_issuer import StaticIssuer
from tests.kit.servers.static_pages import StaticPage, StaticPages
from tests.kit.waiting import eventually

pytestmark = pytest.mark.servers

_AUDIENCE = "kubernetes"


@pytest.fixture(scope="module")
def binaries() -> Binaries:
    return find_binaries()


@pytest.fixture(scope="module")
def ca() -> CertificateAuthority:
    return CertificateAuthority.create()


@pytest.fixture(scope="module")
def issuer(
    ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StaticIssuer]:
    with StaticIssuer(ca.issue(tmp_path_factory.mktemp("issuer"))) as running:
        yield running


@pytest.fixture(scope="module")
def kube(
    binaries: Binaries,
    ca: CertificateAuthority,
    issuer: StaticIssuer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[KubeApiServer]:
    directory = tmp_path_factory.mktemp("kube")
    with (
        Etcd(binaries.etcd, directory=directory / "etcd") as etcd,
        KubeApiServer(
            binaries,
            etcd=etcd,
            ca=ca,
            directory=directory / "kube-apiserver",
            authentication_config=_authentication(issuer.url, ca=ca, prefix="static:"),
            audit_level="Metadata",
        ) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def browser(
    binaries: Binaries, ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    screenshots = tmp_path_factory.mktemp("screenshots")
    with Browser(binaries.chromium, ca=ca, screenshots=screenshots) as running:
        yield running


def test_static_token_is_an_administrator(kube: KubeApiServer) -> None:
    answer = kube.kubectl("auth", "whoami", "-o", "json").document()

    assert answer["status"] == {
        "userInfo": {
            "username": "admin",
            "uid": "admin",
            "groups": ["system:masters", "system:authenticated"],
        }
    }


def test_kubectl_and_server_state_their_version(kube: KubeApiServer) -> None:
    answer = kube.kubectl("version")

    assert "Client Version: v1." in answer.check()
    assert "Server Version: v1." in answer.stdout
    assert answer.stderr == ""


def test_good_token_has_name_and_groups(
    kube: KubeApiServer, issuer: StaticIssuer, tmp_path: Path
) -> None:
    token = issuer.sign(_claims(issuer, sub="alice", groups=["admins", "日本"]))
    _wait_until_accepted(kube, token)
    config = kube.write_kubeconfig(tmp_path / "alice", user=bearer_user(token))

    answer = kube.kubectl("auth", "whoami", kubeconfig=config).check()

    assert "static:alice" in answer
    assert "[static:admins static:日本 system:authenticated]" in answer


def test_bound_group_is_allowed_and_nothing_else(
    kube: KubeApiServer, issuer: StaticIssuer, tmp_path: Path
) -> None:
    token = issuer.sign(_claims(issuer, sub="bob", groups=["readers"]))
    stranger_token = issuer.sign(_claims(issuer, sub="carol", groups=["others"]))
    _wait_until_accepted(kube, token)
    bob = kube.write_kubeconfig(tmp_path / "bob", user=bearer_user(token))
    carol = kube.write_kubeconfig(tmp_path / "carol", user=bearer_user(stranger_token))

    with pods_listed_by(kube, "static:readers"):
        assert "No resources found" in kube.kubectl("get", "pods", kubeconfig=bob).stderr
        secrets = kube.kubectl("get", "secrets", kubeconfig=bob)
        pods = kube.kubectl("get", "pods", kubeconfig=carol)

    assert (secrets.status, pods.status) == (1, 1)
    assert 'User "static:bob" cannot list resource "secrets"' in secrets.stderr
    assert 'User "static:carol" cannot list resource "pods"' in pods.stderr


def test_bad_tokens_are_refused(
    kube: KubeApiServer, issuer: StaticIssuer, ca: CertificateAuthority, tmp_path: Path
) -> None:
    good = _claims(issuer, sub="alice", groups=[])
    _wait_until_accepted(kube, issuer.sign(good))
    expired = issuer.sign(good | {"exp": epoch_seconds(system_clock()) - 1})
    with StaticIssuer(ca.issue(tmp_path)) as stranger:
        foreign = stranger.sign(good)

    assert kube.whoami(expired) is None
    assert kube.whoami(foreign) is None
    assert kube.whoami(issuer.sign(good | {"aud": "another"})) is None
    config = kube.write_kubeconfig(tmp_path / "expired", user=bearer_user(expired))
    assert "Unauthorized" in kube.kubectl("auth", "whoami", kubeconfig=config).stderr


def test_restart_takes_flags_and_keeps_objects(
    kube: KubeApiServer, issuer: StaticIssuer, ca: CertificateAuthority
) -> None:
    kube.kubectl("create", "namespace", "kept").check()
    flags = [
        f"--oidc-issuer-url={issuer.url}",
        f"--oidc-client-id={_AUDIENCE}",
        f"--oidc-ca-file={kube.ca_file}",
        "--oidc-username-prefix=flag:",
        "--oidc-groups-claim=groups",
    ]

    kube.restart(extra_flags=flags)
    user = _wait_until_accepted(kube, issuer.sign(_claims(issuer, sub="dora", groups=["a"])))

    assert user == {"username": "flag:dora", "groups": ["a", "system:authenticated"]}
    kube.kubectl("get", "namespace", "kept").check()
    kube.restart(authentication_config=_authentication(issuer.url, ca=ca, prefix="static:"))


def test_changed_authentication_file_is_taken_live(
    kube: KubeApiServer, ca: CertificateAuthority, issuer: StaticIssuer
) -> None:
    kube.write_authentication_config(_authentication(issuer.url, ca=ca, prefix="changed:"))
    token = issuer.sign(_claims(issuer, sub="erin", groups=[]))

    deadline = time.monotonic() + 90
    while (kube.whoami(token) or {}).get("username") != "changed:erin":
        assert time.monotonic() < deadline, "the API server did not take the changed file"
        time.sleep(0.5)


def test_server_that_cannot_start_says_why(
    binaries: Binaries, ca: CertificateAuthority, tmp_path: Path
) -> None:
    etcd = Etcd(binaries.etcd, directory=tmp_path / "etcd")
    directory = tmp_path / "kube-apiserver"
    server = KubeApiServer(
        binaries, etcd=etcd, ca=ca, directory=directory, extra_flags=["--nonsense"]
    )

    with pytest.raises(ServerFailed, match="unknown flag: --nonsense"):
        server.start()


@pytest.mark.parametrize(
    ("answer", "is_good"),
    [
        ("Client Version: v1.34.4", True),
        ("Client Version: v1.31.0", True),
        ("Client Version: v1.30.9", False),
        ("Client Version: v1.34.4-vendor.5", False),
        ("Client Version: v1.34.4+k3s1", False),
        ("", False),
    ],
)
def test_only_a_released_kubectl_is_used(tmp_path: Path, answer: str, *, is_good: bool) -> None:
    program = tmp_path / "kubectl"
    program.write_text(f"#!/bin/sh\necho '{answer}'\necho 'Kustomize Version: v5.7.1'\n")
    program.chmod(0o755)

    assert is_usable("kubectl", program) is is_good


def test_audit_log_names_the_person(kube: KubeApiServer, issuer: StaticIssuer) -> None:
    _wait_until_accepted(kube, issuer.sign(_claims(issuer, sub="frank", groups=[])))

    # The answer may be here before its line is in the log.
    eventually(
        lambda: any("frank" in str(event["user"]) for event in kube.audit_events()), within=10
    )


def test_browser_photographs_a_page_over_https(
    browser: Browser, ca: CertificateAuthority, tmp_path: Path
) -> None:
    person = browser.person(color_scheme="dark", device="phone")

    with StaticPages(certificate=ca.issue(tmp_path)) as site:
        site.pages["/"] = StaticPage(
            "<!doctype html><meta name=viewport content='width=device-width'><title>Good</title>"
        )
        person.page.goto(site.url)
        picture = person.screenshot("hello")

    assert person.page.title() == "Good"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert person.complaints == []
    assert person.origins() == {site.url}
    assert person.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") is True
    assert person.page.evaluate("innerWidth") == 360


def test_browser_refuses_a_foreign_authority(browser: Browser, tmp_path: Path) -> None:
    foreign = CertificateAuthority.create()

    with (
        StaticPages(certificate=foreign.issue(tmp_path)) as site,
        pytest.raises(BrowserError, match="ERR_CERT_AUTHORITY_INVALID"),
    ):
        browser.person().page.goto(site.url)


def test_browser_writes_down_all_that_is_wrong(browser: Browser) -> None:
    person = browser.person()

    with StaticPages() as site:
        site.pages["/"] = StaticPage(
            "<!doctype html><link rel=icon href=data:><img src=/lost><img src=http://127.0.0.1:1/>"
            "<script nonce=n>alert('hi'); console.error('oh'); missing()</script>"
            "<script>document.title = 'injected'</script>",
            headers={"Content-Security-Policy": "script-src 'nonce-n'"},
        )
        person.page.goto(site.url)

    expected = {"console", "csp", "script", "dialog", "request", "status"}
    # The browser tells what went wrong beside the page's coming, not before its end.
    wait_in(person.page, lambda: {each.kind for each in person.complaints} >= expected)
    assert {each.kind for each in person.complaints} == expected
    assert person.page.title() == ""


def test_people_share_no_cookies(browser: Browser) -> None:
    with StaticPages() as site:
        site.pages["/"] = StaticPage("<!doctype html>", headers={"Set-Cookie": "who=alice"})
        alice, bob = browser.person(), browser.person()
        alice.page.goto(site.url)

        assert [cookie.get("value") for cookie in alice.page.context.cookies()] == ["alice"]
        assert bob.page.context.cookies() == []


def _authentication(url: str, *, ca: CertificateAuthority, prefix: str) -> dict[str, object]:
    return {
        "apiVersion": "apiserver.config.k8s.io/v1beta1",
        "kind": "AuthenticationConfiguration",
        "jwt": [
            {
                "issuer": {
                    "url": url,
                    "certificateAuthority": ca.pem,
                    "audiences": [_AUDIENCE],
                },
                "claimMappings": {
                    "username": {"claim": "sub", "prefix": prefix},
                    "groups": {"claim": "groups", "prefix": prefix},
                },
            }
        ],
    }


def _claims(issuer: StaticIssuer, *, sub: str, groups: list[str]) -> dict[str, object]:
    now = epoch_seconds(system_clock())
    times = {"iat": now, "exp": now + 600}
    return {"iss": issuer.url, "aud": _AUDIENCE, "sub": sub, "groups": groups, **times}


def _wait_until_accepted(kube: KubeApiServer, token: str) -> dict[str, object]:
    """Wait until the API server has read the issuer's discovery, which it does after its start."""
    deadline = time.monotonic() + 30
    while (user := kube.whoami(token)) is None:
        assert time.monotonic() < deadline, "the API server does not accept the token"
        time.sleep(0.1)
    return dict(user)
