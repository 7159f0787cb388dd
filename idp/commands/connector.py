"""`idp connector test`: everything that a login does with a directory, but for the password.

The connector is one of the configuration file, or an IdentityConnector of the cluster with its
Secrets, which are read with the rights of whoever runs the command.
"""

import logging
from collections.abc import Iterator

from connectors.base import Identity
from connectors.ldap.config import LdapConfig
from connectors.ldap.connector import open_ldap
from connectors.ldap.examine import Report
from idp.commands.console import FAILED, OK, CommandUnusable, Console
from idp.commands.targets import Target, settings_of
from idp.oauth.claims import person_claims
from idp.oauth.scopes import EMAIL, GROUPS, OPENID, PROFILE
from idp.settings import KubernetesStorage, Settings
from idp.settings.ldap import LdapFile
from idp.settings.ldap_config import config_of_file
from idp.tokens.authorization import person_of

_ALL = (OPENID, PROFILE, EMAIL, GROUPS)
_WIDTH = 30


async def examine(console: Console, target: Target, *, name: str, user: str) -> int:
    """Print one line for each step, `ok` or `problem`; return 1 if there is a problem."""
    settings = settings_of(target, console)
    connector_id, config = await _found(console, target, settings, name)
    console.say(f"connector {connector_id}: {_described(config)}")
    # What the log of a server would have is in the steps already.
    logging.getLogger("connectors").addHandler(logging.NullHandler())
    connector = open_ldap(config, name=connector_id, now=console.clock)
    try:
        report = await connector.examine(user)
    finally:
        connector.close()
    _tell_steps(console, report)
    if report.identity is not None:
        issuer = settings.issuer if settings is not None else ""
        _tell_person(console, report.identity, connector_id, issuer)
    return OK if report.is_well else FAILED


async def _found(
    console: Console, target: Target, settings: Settings | None, name: str
) -> tuple[str, LdapConfig]:
    """Return the id of a connector and what it is told. Raises CommandFailed, CommandUnusable."""
    for section in settings.connectors if settings is not None else ():
        if section.id == name and isinstance(section.config, LdapFile):
            return section.id, config_of_file(section.config)
    if settings is not None and not isinstance(settings.storage.config, KubernetesStorage):
        listed = ", ".join(f"`{each.id}`" for each in settings.connectors)
        known = f"; it has {listed}" if listed else "; it has none"
        raise CommandUnusable(f"{target.config}: there is no connector `{name}`{known}")
    # Here, because the way to a cluster takes longer to load than all else.
    from idp.commands.connector_object import connector_in_cluster

    return await connector_in_cluster(console, target, name)


def _described(config: LdapConfig) -> str:
    how = {"ldaps": "LDAPS", "starttls": "StartTLS", "plain": "without TLS"}[config.security]
    hosts = ", ".join(f"{host.name}:{host.port}" for host in config.hosts)
    return f"ldap, {hosts}, {how}"


def _tell_steps(console: Console, report: Report) -> None:
    for step in report.steps:
        word = "ok     " if step.outcome == "ok" else "problem"
        console.say(f"{word}  {step.name}: {step.text}")


def _tell_person(console: Console, identity: Identity, connector_id: str, issuer: str) -> None:
    claims = person_claims(person_of(identity, connector_id), _ALL)
    console.say("")
    console.say("claims of a token with the scopes openid, profile, email and groups:")
    for name, value in claims.items():
        console.say(f"  {name:<{_WIDTH}}  {_shown(value)}")
    console.say("")
    console.say("what kube-apiserver makes of them:")
    for name, text in _in_kubernetes(identity, str(claims["sub"]), issuer or "ISSUER"):
        console.say(f"  {name:<{_WIDTH}}  {text}")


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) if value else "(none)"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _in_kubernetes(identity: Identity, sub: str, issuer: str) -> Iterator[tuple[str, str]]:
    """Yield what the flags `--oidc-username-claim` and `--oidc-groups-claim` come to.

    Without a prefix flag kube-apiserver puts the issuer before every user name but an address, and
    nothing before groups.
    """
    if not identity.email:
        yield "user, claim email", "none: tokens without an address are refused then"
    elif not identity.email_verified:
        yield "user, claim email", "none: tokens with an address that is not verified are refused"
    else:
        yield "user, claim email", identity.email
    yield "user, claim sub", f"{issuer}#{sub}"
    if identity.preferred_username:
        yield "user, claim preferred_username", f"{issuer}#{identity.preferred_username}"
    yield "groups, claim groups", ", ".join(identity.groups) or "(none)"
