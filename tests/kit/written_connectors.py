"""Connectors to the directories of the tests, as people write them."""

from typing import Any

from tests.kit.directory_tree import GROUPS_BASE, PEOPLE_BASE, SERVICE
from tests.kit.servers.slapd import Slapd

ACCOUNT_SECRET = "corp-directory"
"""The Secret with the password of the service account."""


def directory_keys(slapd: Slapd) -> dict[str, Any]:
    """Return what a file and an object say alike of a slapd with the tree of `directory_tree`."""
    return {
        "host": slapd.tls_host,
        "rootCAData": slapd.ca_file.read_text(),
        "bindDN": SERVICE.dn,
        "usernamePrompt": "User name",
        "userSearch": {
            "baseDN": PEOPLE_BASE,
            "filter": "(objectClass=inetOrgPerson)",
            "username": ["uid", "mail"],
            "idAttr": "entryUUID",
            "nameAttr": "cn",
            "preferredUsernameAttr": "uid",
        },
        "groupSearch": {
            "baseDN": GROUPS_BASE,
            "filter": "(objectClass=groupOfNames)",
            "nameAttr": "cn",
            "userMatchers": [
                {"userAttr": "DN", "groupAttr": "member", "recursionGroupAttr": "member"}
            ],
        },
    }


def file_connector(slapd: Slapd, connector_id: str = "corp", **config: Any) -> dict[str, Any]:
    """Return one item of `connectors` of the configuration file."""
    keys = {**directory_keys(slapd), "bindPW": SERVICE.password, **config}
    config = {key: value for key, value in keys.items() if value is not None}
    return {"type": "ldap", "id": connector_id, "name": "Corporate", "config": config}


def written_connector(slapd: Slapd, name: str = "corp", **ldap: Any) -> dict[str, Any]:
    """Return an IdentityConnector whose password is in the Secret `ACCOUNT_SECRET`."""
    keys = {**directory_keys(slapd), "bindPWRef": {"name": ACCOUNT_SECRET}, **ldap}
    return {
        "apiVersion": "kube-idp.dev/v1beta1",
        "kind": "IdentityConnector",
        "metadata": {"name": name},
        "spec": {"type": "ldap", "name": "Corporate", "ldap": keys},
    }


def account_secret(password: str = SERVICE.password, name: str = ACCOUNT_SECRET) -> dict[str, Any]:
    """Return the Secret with the password of the service account."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "stringData": {"bindPW": password},
    }


SECRET_RULE = {
    "apiGroups": [""],
    "resources": ["secrets"],
    "resourceNames": [ACCOUNT_SECRET],
    "verbs": ["get"],
}
"""What `rbac.secretNames` of the chart adds to the Role of the server."""
