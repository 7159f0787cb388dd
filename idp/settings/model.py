"""The configuration as a whole."""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr

from idp.settings.fields import Flag, ImageUrl, Text, count_between, lowered
from idp.settings.issuer_rules import check_issuer
from idp.settings.listeners import Outbound, Telemetry, Web
from idp.settings.people import StaticClient, StaticPassword
from idp.settings.places import Connector, Storage
from idp.settings.problems import Problem
from idp.settings.protocol import DEFAULT_ROTATION_PERIOD, Expiry, OAuth2, Signer
from idp.settings.registration import Registration
from idp.settings.section import Section
from idp.settings.sessions import Sessions


class Logger(Section):
    """The log. Fields named in `exclude_fields` never appear in it."""

    level: Annotated[Literal["debug", "info", "warn", "error"], BeforeValidator(lowered)] = "info"
    format: Annotated[Literal["json", "text"], BeforeValidator(lowered)] = "json"
    exclude_fields: tuple[Text, ...] = ()


class Frontend(Section):
    """The pages. `issuer` is the name of the organisation on them."""

    unserved: ClassVar[frozenset[str]] = frozenset({"dir", "extra"})

    issuer: Text = "kube-idp"
    logo_url: ImageUrl | None = None
    theme: Literal["light", "dark", "auto"] = "auto"


class Throttle(Section):
    """Limits on guessing; each of `replicas` processes allows its share."""

    replicas: Annotated[int, count_between(1, 1000)] = 1


class Settings(Section):
    """A configuration in which everything has been checked."""

    unserved: ClassVar[frozenset[str]] = frozenset({"grpc", "mfa"})

    issuer: Annotated[Text, AfterValidator(check_issuer)] = Field(
        description="the URL that clients know this provider by, such as https://login.example.com"
    )
    storage: Storage = Field(description="write `storage: {type: memory}` to try things out")
    web: Web = Field(description="write for example `web: {http: 127.0.0.1:5556}`")
    telemetry: Telemetry = Telemetry()
    outbound: Outbound = Outbound()
    oauth2: OAuth2 = OAuth2()
    expiry: Expiry = Expiry()
    signer: Signer = Signer()
    logger: Logger = Logger()
    frontend: Frontend = Frontend()
    static_clients: tuple[StaticClient, ...] = ()
    enable_password_db: Flag = False
    static_passwords: tuple[StaticPassword, ...] = ()
    connectors: tuple[Connector, ...] = ()
    throttle: Throttle = Throttle()
    sessions: Sessions = Sessions(enabled=False)
    registration: Registration = Registration()

    _warnings: tuple[Problem, ...] = PrivateAttr(default=())

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """Return what works but is probably not meant, to be told at start."""
        return self._warnings

    @property
    def key_rotation_period(self) -> timedelta:
        """Return how long a key signs, from whichever of its two keys it was given under."""
        given = self.signer.config.keys_rotation_period or self.expiry.signing_keys
        return given or DEFAULT_ROTATION_PERIOD

    @property
    def longest_tokens(self) -> timedelta:
        """Return the longest life of any token: keys and revocations are remembered for it."""
        return self.expiry.longest_tokens or self.expiry.id_tokens

    def with_warnings(self, warnings: tuple[Problem, ...]) -> "Settings":
        """Return the same settings with these warnings."""
        copy = self.model_copy()
        copy._warnings = warnings
        return copy
