"""The configuration file: Dex's keys, read strictly, every problem told at once.

Owns the shape, defaults and rules of the file. It opens no store, listens nowhere and does not
look whether certificates exist; the composition root does that with the `Settings` it gets here.
"""

from idp.settings.fields import Address
from idp.settings.listeners import ClientRemoteIP, Telemetry, Web
from idp.settings.loading import ConnectorTypes, load, parse
from idp.settings.model import Frontend, Logger, Settings, Throttle
from idp.settings.people import ClientCredentialsClaims, StaticClient, StaticPassword
from idp.settings.places import (
    Connector,
    KubernetesStorage,
    MemoryStorage,
    SqliteStorage,
    Storage,
)
from idp.settings.problems import ConfigurationInvalid, Problem
from idp.settings.protocol import Expiry, OAuth2, Pkce, RefreshTokens, Signer
from idp.settings.section import Section
from idp.settings.sessions import Sessions

__all__ = [
    "Address",
    "ClientCredentialsClaims",
    "ClientRemoteIP",
    "ConfigurationInvalid",
    "Connector",
    "ConnectorTypes",
    "Expiry",
    "Frontend",
    "KubernetesStorage",
    "Logger",
    "MemoryStorage",
    "OAuth2",
    "Pkce",
    "Problem",
    "RefreshTokens",
    "Section",
    "Sessions",
    "Settings",
    "Signer",
    "SqliteStorage",
    "StaticClient",
    "StaticPassword",
    "Storage",
    "Telemetry",
    "Throttle",
    "Web",
    "load",
    "parse",
]
