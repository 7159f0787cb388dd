"""Reading an IdentityConnector and its Secrets, with the rights of whoever runs a command."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from connectors.ldap.config import LdapConfig
from idp.commands.cluster import open_cluster
from idp.commands.console import CommandFailed, Console
from idp.commands.targets import Target
from idp.objects.connectors import connector_needs, judge_connector
from idp.objects.secret_values import found_in, not_found
from idp.objects.verdicts import SecretNeed, SecretReading
from storage.base import NotFound
from storage.kubernetes.api import ApiServer
from storage.kubernetes.errors import Forbidden, Unavailable
from storage.kubernetes.object_json import read_object
from storage.kubernetes.resources import GROUP, Resource
from storage.objects import WrittenObject

_CONNECTORS = Resource(group=GROUP, plural="identityconnectors", kind="IdentityConnector")
_NOT_SERVED = 404


async def connector_in_cluster(
    console: Console, target: Target, name: str
) -> tuple[str, LdapConfig]:
    """Return the id of a connector and what it is told; `name` is that of the object, or its id.

    Raises CommandFailed with everything that is wrong with the object, or with what may not be
    read.
    """
    async with open_cluster(target, console) as api:
        written = await _object(api, name)
        secrets = [await _secret(api, need) for need in connector_needs(written)]
    judged = judge_connector(written, tuple(secrets))
    if judged.value is None:
        bad = [judged.bad_secret.message] if judged.bad_secret is not None else []
        raise CommandFailed(
            "\n".join([f"IdentityConnector {written.name}:", *judged.problems, *bad])
        )
    for doubt in judged.doubts:
        console.complain(f"IdentityConnector {written.name}: warning: {doubt}")
    return judged.value.id, judged.value.config


async def _object(api: ApiServer, name: str) -> WrittenObject:
    try:
        try:
            found = await api.call("GET", _CONNECTORS.path(api.namespace, name))
        except NotFound:
            found = await _with_id(api, name)
    except Unavailable as error:
        if error.status != _NOT_SERVED:
            raise
        raise CommandFailed(
            f"the API server does not serve identityconnectors.{GROUP}; run"
            " `idp crds | kubectl apply --server-side -f -`"
        ) from error
    return read_object("identity-connectors", found)


async def _with_id(api: ApiServer, connector_id: str) -> dict[str, Any]:
    listed = await api.call("GET", _CONNECTORS.path(api.namespace))
    items = listed.get("items", [])
    for item in items:
        if item.get("spec", {}).get("id") == connector_id:
            found: dict[str, Any] = item
            return found
    names = ", ".join(f"`{item['metadata']['name']}`" for item in items)
    there = f"; there are {names}" if names else "; there is none"
    raise CommandFailed(
        f"There is no IdentityConnector `{connector_id}` in namespace {api.namespace}{there}. A"
        " connector of the configuration file is found with --config"
    )


async def _secret(api: ApiServer, need: SecretNeed) -> SecretReading:
    path = f"/api/v1/namespaces/{api.namespace}/secrets/{need.name}"
    try:
        secret = await api.call("GET", path)
    except NotFound:
        return not_found(need)
    except Forbidden as error:
        raise CommandFailed(
            f"You may not read the Secret `{need.name}` in namespace {api.namespace}, which"
            f" {need.field} refers to. Ask for the right to get it, or run the command as somebody"
            " who has it"
        ) from error
    return found_in(_entries(secret.get("data") or {}), need)


def _entries(data: Mapping[str, str]) -> dict[str, bytes]:
    try:
        return {entry: base64.b64decode(text) for entry, text in data.items()}
    except binascii.Error as error:
        raise CommandFailed("The API server sent a Secret that is not in base64") from error
