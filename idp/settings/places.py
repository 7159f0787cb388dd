"""Sections of a type and its own `config`: `storage`, `connectors`."""

import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from idp.settings.fields import Flag, Text
from idp.settings.ldap import LdapFile
from idp.settings.listeners import FilePath
from idp.settings.section import Section

_CONNECTOR_ID = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~-]{1,128}")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

DEFAULT_SEALING_KEYS = "kube-idp-sealing-keys"
"""The Secret that holds the sealing keys, unless they are somewhere else."""


class MemoryStorage(Section):
    """Everything in memory of one process; forgotten at its end."""


def _database(path: Path) -> Path:
    if str(path).startswith((":memory:", "file:")):
        raise ValueError("must be the path of a file; for a store in memory use `type: memory`")
    return path


class SqliteStorage(Section):
    """A database file. The key that seals its contents is kept beside it."""

    file: Annotated[FilePath, AfterValidator(_database)] = Field(
        description="the path of the database file, such as /var/lib/kube-idp/idp.db"
    )
    key_file: FilePath | None = None

    @property
    def sealing_key_file(self) -> Path:
        """Return where the sealing key is: `keyFile`, or the database's name with .key added."""
        return self.key_file or self.file.with_name(self.file.name + ".key")


def _namespace(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise ValueError("is not a namespace; use lower case letters, digits and `-`")
    return text


def _secret_name(text: str) -> str:
    if len(text) > 253 or not all(_LABEL.fullmatch(label) for label in text.split(".")):
        raise ValueError("is not the name of a Secret; use lower case letters, digits, `-` and `.`")
    return text


class KubernetesStorage(Section):
    """Custom resources of the cluster, in one namespace, and where the sealing keys are.

    `rules.py` sees to it that exactly one of `in_cluster` and `kube_config_file` is given, and at
    most one of `key_file`, `key_env` and `key_secret`.
    """

    in_cluster: Flag = False
    kube_config_file: FilePath | None = None
    namespace: Annotated[Text, AfterValidator(_namespace)] | None = None
    crd_handling: Literal["check", "ensure"] = "check"
    key_file: FilePath | None = None
    key_env: Text | None = None
    key_secret: Annotated[Text, AfterValidator(_secret_name)] | None = None
    generate_client_secrets: Flag = False

    @property
    def sealing_secret(self) -> str | None:
        """Return the name of the Secret with the sealing keys; None where they come from outside.

        From outside is: from the mounted `key_file`, or the variable that `key_env` names.
        """
        if self.key_file is not None or self.key_env is not None:
            return None
        return self.key_secret or DEFAULT_SEALING_KEYS


class Storage(Section):
    """Where state is kept."""

    type: Text = Field(description="`kubernetes`, `sqlite3` or `memory`")
    config: MemoryStorage | SqliteStorage | KubernetesStorage


def check_connector_id(text: str) -> str:
    """Return the id of a connector unchanged. Raises ValueError."""
    if not _CONNECTOR_ID.fullmatch(text):
        raise ValueError("stands in URLs; use letters, digits and `-._~`, at most 128 of them")
    return text


class Connector(Section):
    """A source of users. `config` is of the model that the registry of types names."""

    unserved: ClassVar[frozenset[str]] = frozenset({"grantTypes"})

    type: Text = Field(description="which kind of connector this is")
    id: Annotated[Text, AfterValidator(check_connector_id)] = Field(
        description="a short name for URLs and logs, which becomes part of `sub`: never change it"
    )
    name: Text = Field(description="what people read on the button")
    config: Section


STORAGE_TYPES: dict[str, type[Section]] = {
    "kubernetes": KubernetesStorage,
    "memory": MemoryStorage,
    "sqlite3": SqliteStorage,
}
UNSERVED_STORAGE = frozenset({"etcd", "postgres", "mysql"})
CONNECTOR_TYPES: dict[str, type[Section]] = {"ldap": LdapFile}
UNSERVED_CONNECTORS = frozenset(
    {
        "oidc", "oauth", "saml", "samlExperimental", "github", "gitlab", "google",
        "microsoft", "linkedin", "bitbucket-cloud", "gitea", "openshift", "atlassian-crowd",
        "keystone", "authproxy", "mockCallback", "mockPassword",
    }
)  # fmt: skip
UNSERVED_SIGNERS = frozenset({"vault"})
