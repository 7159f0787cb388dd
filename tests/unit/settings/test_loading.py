"""Whole files: everything in one answer, nothing secret in it, and never another exception."""

import json
import pickle
from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idp.settings import (
    Address,
    ClientRemoteIP,
    ConfigurationInvalid,
    Expiry,
    Problem,
    Settings,
    StaticClient,
    Web,
    load,
    parse,
)
from tests.kit.sizes import examples

Refuse = Callable[..., tuple[Problem, ...]]

NETWORK = ip_network("10.0.0.0/8")
BCRYPT = "$2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W"

SMALL = """\
# A file in Dex's style.
issuer: http://127.0.0.1:5556/dex

storage:
  type: sqlite3
  config:
    file: var/dex.db

web:
  http: 127.0.0.1:5556
  # https: 127.0.0.1:5554

telemetry:
  http: 127.0.0.1:5558

staticClients:
- id: example-app
  redirectURIs:
  - 'http://127.0.0.1:5555/callback'
  name: 'Example App'
  secret: ZXhhbXBsZS1hcHAtc2VjcmV0

connectors:
# - type: ldap

enablePasswordDB: true
staticPasswords:
- email: "admin@example.com"
  # bcrypt hash of the string "password"
  hash: "$2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W"
  username: "admin"
  userID: "08a8684b-db88-4b73-90a9-3cd1661f5466"
"""

LARGE = """\
issuer: https://login.example.com/dex
storage: {type: memory}
web:
  https: 0.0.0.0:5554
  tlsCert: /etc/dex/tls.crt
  tlsKey: /etc/dex/tls.key
  tlsMinVersion: 1.2
  tlsMaxVersion: 1.3
  allowedOrigins: ["*"]
  clientRemoteIP:
    header: X-Forwarded-For
    trustedProxies: [10.0.0.0/8]
frontend: {issuer: Example, theme: dark}
logger: {level: "debug", format: "text", excludeFields: [email, groups]}
expiry:
  idTokens: "24h"
  authRequests: "24h"
  refreshTokens:
    disableRotation: false
    reuseInterval: "3s"
    validIfNotUsedFor: "2160h" # 90 days
    absoluteLifetime: "3960h" # 165 days
signer:
  type: local
  config: {keysRotationPeriod: "6h", algorithm: "RS256"}
oauth2:
  grantTypes: [authorization_code, refresh_token]
  responseTypes: ["code"]
  skipApprovalScreen: true
  alwaysShowLoginScreen: false
  pkce: {enforce: false, codeChallengeMethodsSupported: ["S256"]}
staticClients:
- idEnv: CLIENT_ID
  secretEnv: CLIENT_SECRET
  redirectURIs: ['https://app.example.com/callback']
  name: 'Production App'
- id: kubernetes
  name: Kubernetes
  public: true
  redirectURIs: ['http://localhost:8000', 'http://localhost:18000']
  trustedPeers: [app]
enablePasswordDB: true
staticPasswords:
- email: "user@example.com"
  hashFromEnv: HASH
  username: "user-login"
  name: "User Full Name"
  emailVerified: true
  preferredUsername: "user-public"
  groups: ["team-a", "team-a/admins"]
  userID: "08a8684b-db88-4b73-90a9-3cd1661f5466"
"""

ENVIRON = {"CLIENT_ID": "app", "CLIENT_SECRET": "0123456789abcdef", "HASH": BCRYPT}


def _parse(text: str) -> Settings:
    return parse(text, environ=ENVIRON, directory=Path("/nonexistent"))


@pytest.mark.parametrize("text", [SMALL, LARGE])
def test_files_in_the_style_of_dex_are_read_without_a_warning(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    settings = load(path, environ=ENVIRON)
    assert settings.warnings == ()
    assert settings.issuer.endswith("/dex")


def test_the_same_file_as_json_gives_the_same_settings(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(yaml.safe_load(LARGE), indent="\t"))
    assert load(str(path), environ=ENVIRON) == _parse(LARGE)


def test_settings_are_frozen_and_travel_between_processes() -> None:
    settings = _parse(LARGE)
    with pytest.raises(ValueError, match="frozen"):
        settings.issuer = "https://other.example"
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_sections_can_be_built_in_code_by_their_attribute_names() -> None:
    assert StaticClient(id="a", public=True, redirect_uris=("https://a.example",)).name == "a"


def test_values_can_be_given_in_code_as_what_they_become() -> None:
    web = Web(http=Address("", 1), client_remote_ip=ClientRemoteIP(trusted_proxies=(NETWORK,)))
    assert web.http == Address("", 1)
    assert web.client_remote_ip.trusted_proxies == (NETWORK,)
    assert Expiry(id_tokens=timedelta(minutes=5)).id_tokens == timedelta(minutes=5)


def test_every_problem_is_in_one_answer_sorted_by_line(refuse_text: Refuse) -> None:
    problems = refuse_text(
        "isuer: https://id.example.com\n"  # 1
        "storage: {type: etcd}\n"
        "web:\n"
        "  htp: :5556\n"
        "  tlsMinVersion: 1.1\n"  # 5
        "grpc: {addr: x}\n"
        "staticClients:\n"
        "- id: a\n"
        "  redirectURI: [x]\n"
        "  redirectURIs: ['https://*', '${env:ABSENT}']\n"  # 10
        "- id: a\n"
        "  secret: x\n"
        "  secret: y\n"
        "  public: yes\n"
        "expiry: {idTokens: 1d, refreshTokens: {disableRotation: true}}\n"  # 15
        "staticPasswords: [{email: a, hash: b}]\n"
        "oauth2: {grantTypes: [password]}\n"
    )
    assert [(problem.line, problem.path) for problem in problems] == [
        (1, "connectors"),
        (1, "issuer"),
        (1, "isuer"),
        (2, "storage.type"),
        (3, "web"),
        (4, "web.htp"),
        (5, "web.tlsMinVersion"),
        (6, "grpc"),
        (8, "staticClients[0].secret"),
        (9, "staticClients[0].redirectURI"),
        (10, "staticClients[0].redirectURIs[0]"),
        (10, "staticClients[0].redirectURIs[1]"),
        (11, "staticClients[1].id"),
        (12, "staticClients[1].secret"),
        (14, "staticClients[1].public"),
        (15, "expiry.idTokens"),
        (15, "expiry.refreshTokens.disableRotation"),
        (16, "staticPasswords"),
        (16, "staticPasswords[0].hash"),
        (16, "staticPasswords[0].userID"),
        (17, "oauth2.grantTypes[0]"),
    ]


def test_the_text_of_the_exception_is_one_problem_a_line(refuse_text: Refuse) -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        _parse(SMALL.replace("sqlite3", "etcd").replace("telemetry", "telemtry"))
    assert str(caught.value).splitlines() == [
        "line 5: storage.type: `etcd` is a type of Dex that kube-idp does not serve yet;"
        " served are kubernetes, memory, sqlite3",
        "line 13: telemtry: unknown key; did you mean `telemetry`?",
    ]


def test_long_values_are_shortened(refuse_text: Refuse) -> None:
    problems = refuse_text(f"frontend: {{theme: {'x' * 5000}}}\n{'y' * 900}: 1\n")
    assert all(len(str(problem)) < 250 for problem in problems)


CANARY = "c4nary-Zx9Qw7"

_LEAKS = [
    f"staticClients: [{{id: a, secret: {CANARY}, secret: {CANARY}}}]",
    f"staticClients: [{{id: a, secret: [{CANARY}]}}]",
    f"staticClients: [{{id: a, secret: {{{CANARY}: {CANARY}}}}}]",
    f"staticClients: [{{id: a, secret: ' {CANARY}', public: 7}}]",
    f"staticClients: [{{id: a, secret: {CANARY}, public: true}}]",
    f"staticClients: [{{id: a, secret: *{CANARY}}}]",
    f"staticClients: [{{id: a, secret: !{CANARY}}}]",
    f"staticClients: [{{id: a, secret: !<{CANARY}> x}}]",
    f"staticClients: [{{id: a, secret: &{CANARY} , x: &{CANARY} 1}}]",
    f"staticClients: [{{id: a, secret: %{CANARY}}}]",
    f"staticClients: [{{id: a, secret: @{CANARY}}}]",
    f"staticClients: [{{id: a, secret: `{CANARY}`}}]",
    f"staticClients:\n- id: a\n  secret: '{CANARY}\n",
    f'staticClients:\n- id: a\n  secret: "{CANARY}\\q"\n',
    f"staticClients:\n- id: a\n  secret: {CANARY}: b\n",
    f"staticClients:\n- id: a\n  secret: |{CANARY}\n",
    f"staticClients: [{{id: a, secretEnv: '{CANARY} {CANARY}'}}]",
    f"staticClients: [{{id: a, secert: {CANARY}}}]",
    f"staticPasswords: [{{email: a, userID: b, hash: {CANARY}}}]",
    f"staticPasswords: [{{email: a, userID: b, hash: $2a$10${CANARY}}}]",
    f"staticPasswords: [{{email: a, userID: b, password: {CANARY}}}]",
    f"issuer: https://me:{CANARY}@id.example.com",
    f"frontend: {{logoURL: 'http://me:{CANARY}@a.example/'}}",
    f"connectors: [{{type: ldap, id: a, name: b, config: {{bindPW: {CANARY}}}}}]",
    f"connectors: [{{type: 7, id: a, name: b, config: {{bindPW: {CANARY}}}}}]",
    f"signer: {{type: vault, config: {{token: {CANARY}}}}}",
    f"storage: {{type: postgres, config: {{password: {CANARY}}}}}",
    f"storage: {{type: sqlite3, config: {{password: {CANARY}}}}}",
    "issuer: '${env:CANARY}'",
    "frontend: {theme: '${env:CANARY}'}",
    "logger: {level: '${env:CANARY}'}",
    "throttle: {replicas: '${env:CANARY}'}",
    "oauth2: {grantTypes: ['${env:CANARY}']}",
    "staticClients: [{id: a, public: true, redirectURIs: ['${env:CANARY}']}]",
    "staticClients: [{idEnv: CANARY, secretEnv: CANARY, public: '${env:CANARY}'}]",
]


@pytest.mark.covers("R-90")
@pytest.mark.parametrize("text", _LEAKS)
def test_no_secret_reaches_a_message(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        parse(text, environ={"CANARY": CANARY}, directory=tmp_path)
    assert CANARY not in str(caught.value)
    assert CANARY not in repr(caught.value)
    assert CANARY not in repr(caught.value.problems)
    # What a traceback would print before it: the exceptions that this one came from.
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.covers("R-90")
def test_no_secret_is_seen_in_settings_or_warnings() -> None:
    settings = _parse(LARGE.replace("secretEnv: CLIENT_SECRET", f"secret: {CANARY}"))
    assert settings.warnings
    for text in (
        repr(settings),
        str(settings),
        repr(settings.warnings),
        str(settings.model_dump()),
    ):
        assert CANARY not in text
        assert BCRYPT not in text
    secret = settings.static_clients[0].secret
    assert secret is not None
    assert secret.get_secret_value() == CANARY


_KEYS = st.sampled_from(
    [
        *("issuer", "storage", "type", "config", "file", "web", "http", "https", "tlsCert"),
        *("staticClients", "id", "idEnv", "secret", "secretEnv", "public", "redirectURIs", "name"),
        *("staticPasswords", "email", "hash", "hashFromEnv", "userID", "groups", "trustedPeers"),
        *("enablePasswordDB", "connectors", "expiry", "idTokens", "refreshTokens", "signer"),
        *("absoluteLifetime", "oauth2", "grantTypes", "pkce", "logger", "level", "throttle"),
        *(
            "clientRemoteIP",
            "trustedProxies",
            "allowedOrigins",
            "workers",
            "replicas",
            "keyCacheFor",
        ),
        *("clientCredentialsClaims", "telemetry", "frontend", "logoURL", "grpc", "<<"),
    ]
)
_VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.dates()
    | st.binary(max_size=4)
    | st.sampled_from(
        [
            *("memory", "sqlite3", "local", "ldap", "https://id.example.com", ":5556", "1h", "0"),
            *("${env:A}", "${env:B}", "${file:x}", "${env:", "$A", BCRYPT, "*", "10.0.0.0/8"),
            *("http://localhost", "javascript:a", "https://[::1", "code", "true", "\x85", "\u2028"),
        ]
    )
)
_TREES = st.recursive(
    _VALUES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(_KEYS | st.text(max_size=5), inner, max_size=8)
    ),
    max_leaves=40,
)
_LIKELY = st.fixed_dictionaries(
    {},
    optional={
        key: _TREES
        for key in (
            *("issuer", "storage", "web", "telemetry", "oauth2", "expiry", "signer", "logger"),
            *("frontend", "enablePasswordDB", "throttle"),
        )
    }
    | {
        key: st.lists(st.dictionaries(_KEYS, _TREES, max_size=6) | _TREES, max_size=4)
        for key in ("staticClients", "staticPasswords", "connectors")
    },
)


def _survives(text: str) -> None:
    problems: tuple[Problem, ...] | None = None
    try:
        parse(text, environ={"A": "x", "B": "\udcff"}, directory=Path("/nonexistent"))
    except ConfigurationInvalid as error:
        problems = error.problems
    if problems is not None:
        assert problems
        "\n".join(str(problem) for problem in problems).encode()
        lines = [problem.line for problem in problems]
        assert lines == sorted(lines)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_LIKELY | _TREES, st.sampled_from(["safe", "json"]))
def test_any_tree_is_settings_or_a_list_of_problems(tree: Any, form: str) -> None:
    if form == "safe":
        _survives(yaml.safe_dump(tree, allow_unicode=True))
    else:
        _survives(json.dumps(tree, default=str))


@settings(max_examples=examples(200), deadline=None)
@given(st.text() | st.text(alphabet="abc:-[]{}&*!|>'\"%@`#,?$\\ \n\t<~0\x00"))
def test_any_text_is_settings_or_a_list_of_problems(text: str) -> None:
    _survives(text)


@settings(max_examples=examples(100), deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_settings_or_a_list_of_problems(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationInvalid):
        load(path, environ={})


@settings(max_examples=examples(150), deadline=None)
@given(st.integers(0, len(LARGE) - 1), st.text(alphabet="abc:-[]{}&*!|'\"%#, \n\t0", max_size=3))
def test_a_slip_of_the_pen_anywhere_is_survived(position: int, typed: str) -> None:
    _survives(LARGE[:position] + typed + LARGE[position + 1 :])
