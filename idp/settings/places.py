"""Sections of a type and its own `config`: `storage`, `connectors`."""

import re
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from idp.settings.fields import Text
from idp.settings.listeners import FilePath
from idp.settings.section import Section

_CONNECTOR_ID = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~-]{1,128}")


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


class Storage(Section):
    """Where state is kept."""

    type: Text = Field(description="`memory` or `sqlite3`")
    config: MemoryStorage | SqliteStorage


def _connector_id(text: str) -> str:
    if not _CONNECTOR_ID.fullmatch(text):
        raise ValueError("stands in URLs; use letters, digits and `-._~`, at most 128 of them")
    return text


class Connector(Section):
    """A source of users. `config` is of the model that the registry of types names."""

    unserved: ClassVar[frozenset[str]] = frozenset({"grantTypes"})

    type: Text = Field(description="which kind of connector this is")
    id: Annotated[Text, AfterValidator(_connector_id)] = Field(
        description="a short name for URLs and logs, which becomes part of `sub`: never change it"
    )
    name: Text = Field(description="what people read on the button")
    config: Section


STORAGE_TYPES: dict[str, type[Section]] = {"memory": MemoryStorage, "sqlite3": SqliteStorage}
UNSERVED_STORAGE = frozenset({"kubernetes", "etcd", "postgres", "mysql"})
UNSERVED_CONNECTORS = frozenset(
    {
        "ldap", "oidc", "oauth", "saml", "samlExperimental", "github", "gitlab", "google",
        "microsoft", "linkedin", "bitbucket-cloud", "gitea", "openshift", "atlassian-crowd",
        "keystone", "authproxy", "mockCallback", "mockPassword",
    }
)  # fmt: skip
UNSERVED_SIGNERS = frozenset({"vault"})
