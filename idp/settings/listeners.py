"""Sections about how the server is reached: `web`, `telemetry`."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator

from idp.settings.fields import (
    HostName,
    ListenAddress,
    Origin,
    Text,
    TrustedNetwork,
    count_between,
)
from idp.settings.section import Section

TlsVersion = Literal["1.2", "1.3"]


def _as_path(value: object) -> object:
    return Path(value) if isinstance(value, str) else value


FilePath = Annotated[Path, BeforeValidator(_as_path)]
"""A path as given: relative ones are relative to the directory that the server runs in."""


class ClientRemoteIP(Section):
    """Where the address of the browser is found behind proxies.

    `header` counts only on connections from `trusted_proxies`.
    """

    header: Text | None = None
    trusted_proxies: tuple[TrustedNetwork, ...] = ()


class Web(Section):
    """The public listeners. `allowed_hosts` are names beside the issuer's that are answered."""

    unserved: ClassVar[frozenset[str]] = frozenset({"headers", "allowedHeaders"})

    http: ListenAddress | None = None
    https: ListenAddress | None = None
    tls_cert: FilePath | None = None
    tls_key: FilePath | None = None
    tls_min_version: TlsVersion = "1.2"
    tls_max_version: TlsVersion = "1.3"
    allowed_origins: tuple[Origin, ...] = ()
    allowed_hosts: tuple[HostName, ...] = ()
    client_remote_ip: ClientRemoteIP = ClientRemoteIP()
    workers: Annotated[int, count_between(1, 64)] = 1


class Outbound(Section):
    """What the provider may connect to because a client registered its address.

    Public hosts in any case, and of the others `allowed_hosts`. `root_ca` is trusted beside the
    authorities of the system.
    """

    allowed_hosts: tuple[HostName, ...] = ()
    root_ca: FilePath | None = None


class Telemetry(Section):
    """The listener for health and metrics; None means that there is none."""

    unserved: ClassVar[frozenset[str]] = frozenset({"enableProfiling"})

    http: ListenAddress | None = None
