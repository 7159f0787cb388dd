"""Where the API server is, who we are to it, and the namespace to work in.

Two ways: the current context of a kubeconfig, read by the official client, or the service account
of a pod. Everything is read in a thread, and again when it may have changed.
"""

import asyncio
import base64
import hashlib
import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.kubernetes.errors import Unavailable

if TYPE_CHECKING:
    from kubernetes.aio.client import Configuration

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
NAMESPACE_VARIABLE = "KUBERNETES_POD_NAMESPACE"

_HOST, _PORT = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"


class AccessUnusable(Unavailable):
    """The kubeconfig or service account does not do; names file or key and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """How to reach the API server now. `tls_digest` tells one set of certificates from another."""

    server: str
    authorization: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None
    tls_digest: str = ""
    tls_server_name: str | None = None
    proxy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to reach the API server. `read` reads everything anew, blocks, and raises Unavailable.

    With `reread_seconds` files are read again that often; else only when the server refuses us.
    """

    namespace: str
    credentials: Credentials
    read: Callable[[], Credentials]
    reread_seconds: float | None = None


async def from_kube_config(path: Path, *, namespace: str = "") -> Access:
    """Return the access that a kubeconfig's current context describes.

    The namespace is that of the context unless one is given, else "default". Raises AccessUnusable.
    """

    def read() -> Credentials:
        return _read_kube_config(path)

    credentials = await asyncio.to_thread(read)
    if not namespace:
        namespace = await asyncio.to_thread(_context_namespace, path)
    return Access(namespace=namespace, credentials=credentials, read=read)


async def in_cluster(
    environ: Mapping[str, str], *, directory: Path = SERVICE_ACCOUNT, namespace: str = ""
) -> Access:
    """Return the access of a pod's service account, whose files are in `directory`.

    The namespace is found as Dex finds it: the environment variable, the token, the file. Raises
    AccessUnusable. The official client has this too, but loading it costs 20 MB and 0.2 s.
    """
    server = _server_of(environ)

    def read() -> Credentials:
        return _read_service_account(server, directory)

    credentials = await asyncio.to_thread(read)
    if not namespace:
        namespace = environ.get(NAMESPACE_VARIABLE, "")
    if not namespace:
        namespace = await asyncio.to_thread(_pod_namespace, credentials.authorization, directory)
    return Access(namespace=namespace, credentials=credentials, read=read, reread_seconds=60.0)


def _server_of(environ: Mapping[str, str]) -> str:
    host, port = environ.get(_HOST, ""), environ.get(_PORT, "")
    if not host or not port:
        raise AccessUnusable(
            f"storage.config.inCluster: the environment has no {_HOST} and {_PORT}: this is no"
            " pod; name a kubeconfig in storage.config.kubeConfigFile instead"
        )
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _read_service_account(server: str, directory: Path) -> Credentials:
    what = "storage.config.inCluster"
    remedy = "set automountServiceAccountToken: true on the pod"
    token = _contents(directory / "token", what, remedy).decode("utf-8", "replace").strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise AccessUnusable(f"{what}: {directory / 'token'} holds no token: {remedy}")
    ca_file = directory / "ca.crt"
    ca = _contents(ca_file, what, remedy)
    try:
        tls = ssl.create_default_context(cadata=ca.decode("utf-8", "replace"))
    except (ssl.SSLError, ValueError) as error:
        raise AccessUnusable(f"{what}: {ca_file} holds no certificates in PEM ({error})") from error
    return Credentials(
        server=server, authorization=f"Bearer {token}", tls=tls, tls_digest=_digest(ca)
    )


def _pod_namespace(authorization: str, directory: Path) -> str:
    namespace = _namespace_claim(authorization.removeprefix("Bearer "))
    if namespace:
        return namespace
    remedy = f"set the environment variable {NAMESPACE_VARIABLE} to metadata.namespace"
    path = directory / "namespace"
    return _contents(path, "storage.config.inCluster", remedy).decode("utf-8", "replace").strip()


def _namespace_claim(token: str) -> str:
    """Return the namespace that a service account's token names, unchecked; "" if none."""
    _, _, rest = token.partition(".")
    payload = rest.partition(".")[0]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        return ""
    if not isinstance(claims, dict):
        return ""
    bound = claims.get("kubernetes.io")
    found = bound.get("namespace") if isinstance(bound, dict) else None
    found = found or claims.get("kubernetes.io/serviceaccount/namespace")
    return found if isinstance(found, str) else ""


def _contents(path: Path, what: str, remedy: str) -> bytes:
    try:
        contents = path.read_bytes()
    except OSError as error:
        problem = error.strerror or "cannot be read"
        raise AccessUnusable(f"{what}: {path}: {problem}: {remedy}") from error
    if not contents.strip():
        raise AccessUnusable(f"{what}: {path} is empty: {remedy}")
    return contents


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _read_kube_config(path: Path) -> Credentials:
    """Read a kubeconfig, in a thread of its own: the official client blocks the event loop."""
    what = f"storage.config.kubeConfigFile: {path}"
    _contents(path, "storage.config.kubeConfigFile", "name a kubeconfig that this user may read")
    configuration = _load(path, what)
    if not configuration.host.startswith(("https://", "http://")):
        raise AccessUnusable(f"{what}: `server` of the cluster must be an http or https address")
    token = configuration.api_key.get("BearerToken") or ""
    token = token.strip()
    if not token.isascii() or not token.isprintable():
        raise AccessUnusable(f"{what}: the user's token holds characters that no token has")
    tls, digest = None, ""
    if configuration.host.startswith("https://"):
        tls, digest = _tls(configuration, what)
    return Credentials(
        server=configuration.host.rstrip("/"),
        authorization=token,
        tls=tls,
        tls_digest=digest,
        tls_server_name=configuration.tls_server_name or None,
        proxy=configuration.proxy or None,
    )


def _load(path: Path, what: str) -> "Configuration":
    """Have the official client read a file into a configuration of its own."""
    # Not at the top: it costs 20 MB and 0.2 s, which a pod need not pay.
    from kubernetes.aio.client import Configuration
    from kubernetes.aio.config import ConfigException, load_kube_config

    configuration = Configuration()
    try:
        # A selector loop, because plugins are processes, which uvloop only waits for in the
        # main thread.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            loader = runner.run(
                load_kube_config(  # type: ignore[no-untyped-call]
                    config_file=str(path), client_configuration=configuration, persist_config=False
                )
            )
    except ConfigException as error:
        raise AccessUnusable(f"{what}: {error}") from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise AccessUnusable(f"{what}: this is no kubeconfig ({type(error).__name__})") from error
    except Exception as error:  # a plugin, or the parser of YAML: their texts may show secrets
        raise AccessUnusable(f"{what}: cannot be read ({type(error).__name__})") from error
    if _names_a_plugin(loader) and not (configuration.api_key or configuration.cert_file):
        raise AccessUnusable(
            f"{what}: the user's `exec` plugin gave neither token nor certificate: run its command"
            " by hand and see what it says"
        )
    return configuration


def _names_a_plugin(loader: Any) -> bool:
    user = getattr(loader, "_user", None)
    return user is not None and "exec" in user


def _tls(configuration: "Configuration", what: str) -> tuple[ssl.SSLContext, str]:
    remedy = "name files that exist"
    ca = certificate = key = b""
    if configuration.ssl_ca_cert:
        ca = _contents(Path(configuration.ssl_ca_cert), what, remedy)
    if configuration.cert_file:
        certificate = _contents(Path(configuration.cert_file), what, remedy)
    if configuration.key_file:
        key = _contents(Path(configuration.key_file), what, remedy)
    try:
        tls = ssl.create_default_context(cadata=ca.decode("utf-8", "replace") if ca else None)
        if configuration.cert_file:
            tls.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
    except (ssl.SSLError, ValueError) as error:
        raise AccessUnusable(
            f"{what}: its certificate authority, client certificate or key is no PEM, or they do"
            f" not belong together ({error})"
        ) from error
    if not configuration.verify_ssl:  # `insecure-skip-tls-verify` in the file
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    return tls, _digest(ca, certificate, key, b"" if configuration.verify_ssl else b"any")


def _context_namespace(path: Path) -> str:
    from kubernetes.aio.config import list_kube_config_contexts

    _, current = list_kube_config_contexts(str(path))  # type: ignore[no-untyped-call]
    context = current.get("context")
    found = context.get("namespace") if isinstance(context, dict) else None
    return found if isinstance(found, str) and found else "default"
