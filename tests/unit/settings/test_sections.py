"""Sections with their keys: defaults, and the path and hint of every refusal."""

from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from idp.settings import (
    Address,
    ConfigurationInvalid,
    MemoryStorage,
    Problem,
    Section,
    Settings,
    SqliteStorage,
    parse,
)

Read = Callable[..., Settings]
Refuse = Callable[..., tuple[Problem, ...]]


def test_defaults_are_those_of_the_documentation(read: Read) -> None:
    settings = read("")
    expiry = settings.expiry
    assert settings.warnings == ()
    assert expiry.id_tokens == timedelta(hours=1)
    assert expiry.auth_requests == timedelta(minutes=30)
    assert expiry.auth_codes == timedelta(seconds=60)
    assert expiry.key_cache_for == timedelta(seconds=60)
    assert expiry.refresh_tokens.reuse_interval == timedelta(seconds=60)
    assert expiry.refresh_tokens.absolute_lifetime == timedelta(hours=4320)
    assert expiry.refresh_tokens.valid_if_not_used_for == timedelta(hours=720)
    assert settings.key_rotation_period == timedelta(hours=6)
    assert settings.signer.config.algorithm == "RS256"
    assert (settings.logger.level, settings.logger.format) == ("info", "json")
    assert settings.frontend.theme == "auto"
    assert (settings.web.tls_min_version, settings.web.tls_max_version) == ("1.2", "1.3")
    assert settings.web.workers == settings.throttle.replicas == 1
    assert settings.telemetry.http is None
    assert not settings.oauth2.pkce.enforce


@pytest.mark.parametrize("given", ["{}", "{grantTypes: []}"])
def test_default_grant_types(read: Read, given: str) -> None:
    settings = read(f"oauth2: {given}\nenablePasswordDB: true")
    assert settings.oauth2.grant_types == ("authorization_code", "refresh_token")


def test_empty_lists_of_what_is_offered_mean_the_default(read: Read) -> None:
    oauth2 = read(
        "oauth2: {responseTypes: [], pkce: {codeChallengeMethodsSupported: []}}\n"
        "enablePasswordDB: true"
    ).oauth2
    assert oauth2.response_types == ("code",)
    assert oauth2.pkce.code_challenge_methods_supported == ("S256",)


def test_hosts_of_request_objects_are_names_or_any(read: Read) -> None:
    hosts = "[App.Example.com, '127.0.0.1:8443', '*']"
    oauth2 = read(f"oauth2: {{requestURIHosts: {hosts}}}\nenablePasswordDB: true").oauth2
    assert oauth2.request_uri_hosts == ("app.example.com", "127.0.0.1:8443", "*")
    assert read("enablePasswordDB: true").oauth2.request_uri_hosts == ()


def test_response_types_are_taken_in_any_order_and_implicit_beside_them(read: Read) -> None:
    offered = "grantTypes: [authorization_code, implicit], responseTypes: [code, token id_token]"
    settings = read(f"oauth2: {{{offered}}}\nenablePasswordDB: true")
    assert settings.oauth2.response_types == ("code", "token id_token")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:5556", Address("127.0.0.1", 5556)),
        (":5556", Address("", 5556)),
        ("0.0.0.0:0", Address("0.0.0.0", 0)),
        ("[::1]:5556", Address("::1", 5556)),
        ("[::]:65535", Address("::", 65535)),
        ("localhost:80", Address("localhost", 80)),
    ],
)
def test_listen_addresses(read: Read, text: str, address: Address) -> None:
    assert read(f"web: {{http: '{text}'}}").web.http == address


def test_a_web_section_in_full(read: Read) -> None:
    web = read(
        "web:\n  http: :5556\n  https: :5554\n  tlsCert: tls/crt.pem\n  tlsKey: /k.pem\n"
        "  tlsMinVersion: 1.3\n  tlsMaxVersion: '1.3'\n"
        "  allowedOrigins: ['*', 'https://app.example.com', 'http://localhost:3000']\n"
        "  allowedHosts: [Internal.example, '10.0.0.1:5556', '[::1]']\n"
        "  clientRemoteIP: {header: X-Forwarded-For, trustedProxies: [10.0.0.1/8, 'fd00::/8']}\n"
    ).web
    assert (web.tls_cert, web.tls_key) == (Path("tls/crt.pem"), Path("/k.pem"))
    assert web.tls_min_version == web.tls_max_version == "1.3"
    assert web.allowed_hosts == ("internal.example", "10.0.0.1:5556", "[::1]")
    assert web.client_remote_ip.trusted_proxies == (
        ip_network("10.0.0.0/8"),
        ip_network("fd00::/8"),
    )


def test_storage_says_where_the_sealing_key_is(read: Read) -> None:
    assert isinstance(read("").storage.config, MemoryStorage)
    config = read("storage: {type: sqlite3, config: {file: var/idp.db}}").storage.config
    assert isinstance(config, SqliteStorage)
    assert config.sealing_key_file == Path("var/idp.db.key")
    config = read("storage: {type: sqlite3, config: {file: a, keyFile: /k}}").storage.config
    assert isinstance(config, SqliteStorage)
    assert config.sealing_key_file == Path("/k")


@pytest.mark.parametrize(
    "fragment",
    ["expiry: {signingKeys: 24h}", "signer: {config: {keysRotationPeriod: 24h}}"],
)
def test_the_rotation_period_has_two_names(read: Read, fragment: str) -> None:
    assert read(fragment).key_rotation_period == timedelta(hours=24)


@pytest.mark.parametrize("zero", ["0", "0s", "'0'"])
def test_zero_switches_lifetimes_of_refresh_tokens_off(read: Read, zero: str) -> None:
    tokens = read(
        f"expiry: {{refreshTokens: {{absoluteLifetime: {zero}, validIfNotUsedFor: {zero},"
        f" reuseInterval: {zero}}}}}"
    ).expiry.refresh_tokens
    assert tokens.absolute_lifetime is None
    assert tokens.valid_if_not_used_for is None
    assert tokens.reuse_interval == timedelta(0)


def test_log_words_may_be_written_in_capitals(read: Read) -> None:
    assert read("logger: {level: DEBUG, format: Text}").logger.level == "debug"


_NOT_YET = "is a key of Dex that kube-idp does not serve yet; remove it"


@pytest.mark.parametrize(
    ("fragment", "path", "hint"),
    [
        # unknown keys, and keys of Dex
        ("isuer: x", "isuer", "unknown key; did you mean `issuer`?"),
        ("Connectors: []", "Connectors", "unknown key; did you mean `connectors`?"),
        ("static_clients: []", "static_clients", "unknown key; did you mean `staticClients`?"),
        ("zzz: 1", "zzz", "unknown key"),
        ('"a b\\n": 1', '["a b\\n"]', "unknown key"),
        ("1: 2", "1", "unknown key"),
        ("grpc: {addr: ':1'}", "grpc", f"`grpc` {_NOT_YET}"),
        ("mfa: {}", "mfa", f"`mfa` {_NOT_YET}"),
        ("web: {http: ':1', headers: {}}", "web.headers", f"`headers` {_NOT_YET}"),
        ("web: {http: ':1', allowedHeaders: []}", "web.allowedHeaders", _NOT_YET),
        ("telemetry: {enableProfiling: false}", "telemetry.enableProfiling", _NOT_YET),
        ("oauth2: {grantTypes: [client_credentials], passwordConnector: local}",
         "oauth2.passwordConnector", _NOT_YET),
        ("expiry: {deviceRequests: 5m}", "expiry.deviceRequests", _NOT_YET),
        ("frontend: {dir: web}", "frontend.dir", _NOT_YET),
        ("frontend: {extra: {a: b}}", "frontend.extra", _NOT_YET),
        ("frontend: {logoUrl: x}", "frontend.logoUrl", "did you mean `logoURL`?"),
        ("throttle: {replica: 1}", "throttle.replica", "did you mean `replicas`?"),
        # wrong shapes
        ("logger: info", "logger", "must be a mapping of keys, but is a single value"),
        ("logger: [a]", "logger", "must be a mapping of keys, but is a list"),
        ("staticClients: {a: b}", "staticClients", "must be a list, but is a mapping of keys"),
        ("staticClients: [a]", "staticClients[0]", "must be a mapping of keys, but is a single"),
        ("connectors: [a]", "connectors[0]", "must be a mapping of keys"),
        ("issuer: [a]", "issuer", "must be text, but is a list"),
        ("issuer: ' https://a.example'", "issuer", "begins or ends with a space"),
        ("enablePasswordDB: yes", "enablePasswordDB", "`yes` must be true or false"),
        ("enablePasswordDB: 1", "enablePasswordDB", "`1` must be true or false"),
        # storage
        ("storage: {}", "storage.type", "is required: `kubernetes`, `sqlite3`"),
        ("storage: memory", "storage", "must be a mapping of keys"),
        ("storage: {type: postgres}", "storage.type", "does not serve yet"),
        ("storage: {type: mysql}", "storage.type", "does not serve yet"),
        ("storage: {type: etcd}", "storage.type", "does not serve yet"),
        ("storage: {type: sqlite}", "storage.type", "not a known type; did you mean `sqlite3`?"),
        ("storage: {type: floppy}", "storage.type", "is not a known type; served are kubernetes"),
        ("storage: {type: [memory]}", "storage.type", "must be text, but is a list"),
        ("storage: {type: memory, config: {file: a}}", "storage.config.file", "unknown key"),
        ("storage: {type: memory, config: a}", "storage.config", "must be a mapping"),
        ("storage: {type: sqlite3}", "storage.config.file", "is required: the path of"),
        ("storage: {type: sqlite3, config: {file: a, keyFil: b}}", "storage.config.keyFil",
         "did you mean `keyFile`?"),
        ("storage: {type: sqlite3, config: {file: ':memory:'}}", "storage.config.file",
         "use `type: memory`"),
        ("storage: {type: sqlite3, config: {file: 'file:a?mode=ro'}}", "storage.config.file",
         "must be the path of a file"),
        # web
        ("web: {http: 5556}", "web.http", 'is a port without a colon; write ":5556"'),
        ("web: {http: localhost}", "web.http", "has no port; write for example localhost:5556"),
        ("web: {http: 'http://a:1'}", "web.http", "is a URL; write host and port only"),
        ("web: {http: '::1:5556'}", "web.http", "without brackets"),
        ("web: {http: ':99999'}", "web.http", "has no valid port"),
        ("web: {http: ':http'}", "web.http", "has no valid port"),
        ("web: {http: 'a b:1'}", "web.http", "has no valid host name"),
        ("web: {http: [a]}", "web.http", "must be an address"),
        ("web: {https: ':1', tlsCert: a}", "web.tlsKey", "is required with `https`"),
        ("web: {https: ':1', tlsKey: a}", "web.tlsCert", "is required with `https`"),
        ("web: {http: ':1', tlsMinVersion: 1.1}", "web.tlsMinVersion",
         "`1.1` is not one of 1.2, 1.3"),
        ("web: {http: ':1', tlsMinVersion: 1.3, tlsMaxVersion: 1.2}", "web.tlsMinVersion",
         "is above `tlsMaxVersion`"),
        ("web: {tlsMinVersion: 1.2}", "web", "needs `http` or `https`"),
        ("web: {http: ':1', https: ':1', tlsCert: a, tlsKey: b}", "web.https",
         "is the address of `web.http`"),
        ("web: {http: ':1'}\ntelemetry: {http: ':1'}", "telemetry.http",
         "is the address of `web.http`"),
        ("web: {http: ':1', allowedOrigins: 'null'}", "web.allowedOrigins", "must be a list"),
        ("web: {http: ':1', allowedOrigins: ['null']}", "web.allowedOrigins[0]", "is not a URL"),
        ("web: {http: ':1', allowedOrigins: ['https://a/']}", "web.allowedOrigins[0]",
         "is more than an origin"),
        ("web: {http: ':1', allowedOrigins: ['https://A']}", "web.allowedOrigins[0]",
         "browsers send `a`"),
        ("web: {http: ':1', allowedOrigins: ['https://a:443']}", "web.allowedOrigins[0]",
         "names the port that browsers leave out"),
        ("web: {http: ':1', allowedOrigins: ['ftp://a']}", "web.allowedOrigins[0]",
         "must begin with https://"),
        ("web: {http: ':1', allowedHosts: ['a/b']}", "web.allowedHosts[0]", "no valid host name"),
        ("web: {http: ':1', allowedHosts: ['*']}", "web.allowedHosts[0]", "no valid host name"),
        ("web: {http: ':1', clientRemoteIP: {header: X}}", "web.clientRemoteIP.header",
         "needs `trustedProxies`"),
        ("web: {http: ':1', clientRemoteIP: {trustedProxies: [a]}}",
         "web.clientRemoteIP.trustedProxies[0]", "`a` is not a network"),
        ("web: {http: ':1', clientRemoteIP: {trustedProxies: [1]}}",
         "web.clientRemoteIP.trustedProxies[0]", "`1` is not a network"),
        ("web: {http: ':1', workers: 0}", "web.workers", "must be a whole number from 1 to 64"),
        ("web: {http: ':1', workers: many}", "web.workers", "must be a whole number"),
        ("web: {http: ':1', workers: true}", "web.workers", "must be a whole number"),
        ("web: {http: ':1', workers: 2}", "web.workers", "must be 1 with `storage.type: memory`"),
        ("throttle: {replicas: 0}", "throttle.replicas", "from 1 to 1000"),
        # oauth2
        ("oauth2: {grantTypes: [client_credentials, implicit]}", "oauth2.grantTypes[1]",
         "has no effect: implicit is switched on by `id_token` in `oauth2.responseTypes`"),
        ("oauth2: {grantTypes: [client_credentials, password]}", "oauth2.grantTypes[1]",
         "does not serve yet"),
        ("oauth2: {grantTypes: [client_credentials, token-exchange]}", "oauth2.grantTypes[1]",
         "does not serve yet"),
        ("oauth2: {grantTypes: [client_credentials,"
         " 'urn:ietf:params:oauth:grant-type:device_code']}", "oauth2.grantTypes[1]",
         "does not serve yet"),
        ("oauth2: {grantTypes: [client_credentials, magic]}", "oauth2.grantTypes[1]",
         "`magic` is not a grant type; served are authorization_code, refresh_token, client_"),
        ("oauth2: {grantTypes: [client_credentials], responseTypes: [cod]}",
         "oauth2.responseTypes[0]", "`cod` is not a response type; served are code, code id_t"),
        ("oauth2: {grantTypes: [client_credentials], responseTypes: [code code]}",
         "oauth2.responseTypes[0]", "`code code` is not a response type"),
        ("oauth2: {grantTypes: [client_credentials], requestURIHosts: ['https://a.example']}",
         "oauth2.requestURIHosts[0]", "`https://a.example`"),
        ("oauth2: {grantTypes: [client_credentials], responseTypes: [token]}",
         "oauth2.responseTypes", "serves nothing: `token` is only served beside"),
        ("oauth2: {grantTypes: [client_credentials], pkce: {codeChallengeMethodsSupported:"
         " [S256, plain]}}", "oauth2.pkce.codeChallengeMethodsSupported[1]",
         "`plain` is a code challenge method of Dex"),
        ("oauth2: {grantTypes: [client_credentials], pkce: {enforce: maybe}}",
         "oauth2.pkce.enforce", "must be true or false"),
        # expiry, signer
        ("expiry: {idTokens: 0}", "expiry.idTokens", "must be at least 1s and at most 168h"),
        ("expiry: {idTokens: 169h}", "expiry.idTokens", "must be at least 1s and at most 168h"),
        ("expiry: {idTokens: 1500ms}", "expiry.idTokens", "must be a whole number of seconds"),
        ("expiry: {idTokens: -1h}", "expiry.idTokens", "`-1h` is negative"),
        ("expiry: {idTokens: 3600}", "expiry.idTokens", "`3600` has no unit; write for example"),
        ("expiry: {idTokens: 1d}", "expiry.idTokens", "is in days"),
        ("expiry: {idTokens: []}", "expiry.idTokens", "must be a duration"),
        ("expiry: {authRequests: 25h}", "expiry.authRequests", "at most 24h"),
        ("expiry: {authCodes: 11m}", "expiry.authCodes", "at most 10m"),
        ("expiry: {keyCacheFor: 61s}", "expiry.keyCacheFor", "at most 60s"),
        ("expiry: {keyCacheFor: 0}", "expiry.keyCacheFor", "at least 1s"),
        ("expiry: {signingKeys: 119s}", "expiry.signingKeys", "least twice `expiry.keyCacheFor`"),
        ("expiry: {signingKeys: daily}", "expiry.signingKeys", "`daily` is not a duration"),
        ("expiry: {signingKeys: 8761h}", "expiry.signingKeys", "at most 8760h"),
        ("expiry: {signingKeys: 0}", "expiry.signingKeys", "at least 1s"),
        ("expiry: {refreshTokens: {reuseInterval: 6m}}", "expiry.refreshTokens.reuseInterval",
         "at most 5m"),
        ("expiry: {refreshTokens: {absoluteLifetime: -1s}}",
         "expiry.refreshTokens.absoluteLifetime", "is negative"),
        ("expiry: {refreshTokens: {validIfNotUsedFor: 1ms}}",
         "expiry.refreshTokens.validIfNotUsedFor", "must be at least 1s"),
        ("expiry: {refreshTokens: {disableRotation: true}}",
         "expiry.refreshTokens.disableRotation", "rotation is always on"),
        ("expiry: {signingKeys: 6h}\nsigner: {config: {keysRotationPeriod: 6h}}",
         "expiry.signingKeys", "is the old name of `signer.config.keysRotationPeriod`"),
        ("signer: {config: {keysRotationPeriod: 5s}}", "signer.config.keysRotationPeriod",
         "at least twice"),
        ("signer: {type: vault, config: {addr: a}}", "signer.type", "does not serve yet"),
        ("signer: {config: {algorithm: EdDSA}}", "signer.config.algorithm",
         "`EdDSA` is not one of RS256, ES256"),
        ("signer: {config: {algorithm: rs256}}", "signer.config.algorithm", "you mean `RS256`?"),
        # logger, frontend
        ("logger: {level: warning}", "logger.level",
         "`warning` is not one of debug, info, warn, error; did you mean `warn`?"),
        ("logger: {level: [info]}", "logger.level", "is not one of debug, info, warn, error"),
        ("logger: {format: xml}", "logger.format", "`xml` is not one of json, text"),
        ("frontend: {theme: coreos}", "frontend.theme", "is not one of light, dark, auto"),
        ("frontend: {logoURL: theme/logo.png}", "frontend.logoURL", "is not a URL"),
        ("frontend: {logoURL: 'http://a.example/l.png'}", "frontend.logoURL",
         "must begin with https://"),
        ("frontend: {logoURL: 'javascript:x'}", "frontend.logoURL", "has no host"),
        # connectors
        ("connectors: [{type: mockCallback, id: a, name: b}]", "connectors[0].type",
         "`mockCallback` is a type of Dex that kube-idp does not serve yet; served are ldap"),
        ("connectors: [{type: tarot, id: a, name: b}]", "connectors[0].type", "not a known type"),
    ],
)  # fmt: skip
def test_refusals_name_path_and_remedy(refuse: Refuse, fragment: str, path: str, hint: str) -> None:
    (problem,) = refuse(fragment)
    assert problem.path == path
    assert hint in problem.message
    assert problem.line >= 1


@pytest.mark.parametrize("key", ["issuer", "storage", "web"])
def test_required_keys_are_told_when_missing(refuse: Refuse, key: str) -> None:
    (problem,) = refuse(f"{key}:")
    assert (problem.path, problem.line) == (key, 1)
    assert problem.message.startswith("is required: ")


def test_somebody_must_be_able_to_sign_in(refuse: Refuse) -> None:
    (problem,) = refuse("oauth2: {}")
    assert problem.path == "connectors"
    assert problem.message.startswith("nobody could sign in")


@pytest.mark.parametrize(
    ("fragment", "path", "hint"),
    [
        ("web: {http: ':1', tlsCert: a, tlsKey: b}", "web", "have no effect without `https`"),
        ("web: {http: ':1', clientRemoteIP: {trustedProxies: [10.0.0.1]}}",
         "web.clientRemoteIP.trustedProxies", "has no effect without `header`"),
        ("web: {http: ':1', clientRemoteIP: {header: X-Real-IP, trustedProxies: ['::/0']}}",
         "web.clientRemoteIP.trustedProxies[0]", "trusts everybody"),
        ("enablePasswordDB: true", "enablePasswordDB", "has no effect"),
    ],
)  # fmt: skip
def test_warnings(read: Read, fragment: str, path: str, hint: str) -> None:
    (warning,) = read(fragment).warnings
    assert warning.path == path
    assert hint in warning.message


class _Tarot(Section):
    deck: str


def _read_connectors(text: str) -> Settings:
    full = (
        "issuer: https://a.example\nstorage: {type: memory}\nweb: {http: ':1'}\n"
        f"enablePasswordDB: true\nconnectors: {text}"
    )
    return parse(full, environ={}, directory=Path(), connector_types={"tarot": _Tarot})


def test_a_registered_connector_type_brings_its_own_model() -> None:
    settings = _read_connectors("[{type: tarot, id: t, name: Cards, config: {deck: marseille}}]")
    config = settings.connectors[0].config
    assert isinstance(config, _Tarot)
    assert config.deck == "marseille"


@pytest.mark.parametrize(
    ("text", "path", "hint"),
    [
        ("[{type: tarot, id: t, name: C, config: {dekc: x, deck: y}}]", "connectors[0].config.dekc",
         "unknown key; did you mean `deck`?"),
        ("[{type: tarot, id: t, name: C}]", "connectors[0].config.deck", "is required"),
        ("[{type: tarto, id: t, name: C}]", "connectors[0].type", "did you mean `tarot`?"),
        ("[{type: oidc, id: t, name: C}]", "connectors[0].type", "serve yet; served are tarot"),
        ("[{type: tarot, name: C, config: {deck: a}}]", "connectors[0].id", "is required"),
        ("[{type: tarot, id: t, config: {deck: a}}]", "connectors[0].name", "is required"),
        ("[{id: t, name: C}]", "connectors[0].type", "is required"),
        ("[{type: tarot, id: a/b, name: C, config: {deck: a}}]", "connectors[0].id",
         "stands in URLs"),
        ("[{type: tarot, id: .., name: C, config: {deck: a}}]", "connectors[0].id",
         "stands in URLs"),
        ("[{type: tarot, id: local, name: C, config: {deck: a}}]", "connectors[0].id",
         "`local` is the id of the connector of `enablePasswordDB`"),
        ("[{type: tarot, id: t, name: C, config: {deck: a}},"
         " {type: tarot, id: t, name: D, config: {deck: a}}]", "connectors[1].id",
         "is already the id of `connectors[0]`"),
        ("[{type: tarot, id: t, name: C, config: {deck: a}, grantTypes: []}]",
         "connectors[0].grantTypes", "does not serve yet"),
    ],
)  # fmt: skip
def test_connectors_are_checked_with_their_registered_model(
    text: str, path: str, hint: str
) -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        _read_connectors(text)
    (problem,) = caught.value.problems
    assert problem.path == path
    assert hint in problem.message


def test_hosts_of_the_operator_s_own_may_be_reached(read: Read, refuse: Refuse) -> None:
    text = "outbound: {allowedHosts: [App.Internal, '10.0.0.7:8443', '[::1]:1'], rootCA: ca.crt}"
    outbound = read(text).outbound
    assert outbound.allowed_hosts == ("app.internal", "10.0.0.7:8443", "[::1]:1")
    assert outbound.root_ca == Path("ca.crt")
    (problem,) = refuse("outbound: {allowedHosts: ['https://app.internal/']}")
    assert problem.path == "outbound.allowedHosts[0]"
