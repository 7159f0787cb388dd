"""The local connector keeps the contract of all password connectors."""

from connectors.local import LocalConnector, LocalUser, LocalUsers
from connectors.passwords import PasswordHasher
from idp.login.usernames import canonical
from tests.connectors.contract import Directory, PasswordConnectorContract, Person
from tests.kit.connectors import cheap_hash


class LocalDirectory:
    """A list of local users that a test changes."""

    def __init__(self) -> None:
        self._users: dict[str, LocalUser] = {}
        self._hasher = PasswordHasher(running=2, waiting=20)
        self.connector = LocalConnector(
            users=lambda: LocalUsers.of(self._users.values(), canonical=canonical),
            verify=self._hasher.verify,
        )

    def put(self, person: Person) -> None:
        """Add or change a user."""
        self._users[person.identity.user_id] = LocalUser(
            email=person.username,
            password_hash=cheap_hash(person.password),
            user_id=person.identity.user_id,
            username=person.identity.username,
            preferred_username=person.identity.preferred_username,
            email_verified=person.identity.email_verified,
            groups=person.identity.groups,
        )

    def remove(self, user_id: str) -> None:
        """Remove a user."""
        del self._users[user_id]


class TestLocal(PasswordConnectorContract):
    """Everything that the contract asks."""

    def directory(self) -> Directory:
        """Return an empty list of users."""
        return LocalDirectory()
