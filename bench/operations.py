"""The operations of the table: what a browser and a client do, over HTTP."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urlsplit

from bench.client import Connection, Operation, basic, get, post
from bench.provider import CALLBACK, CLIENT, PASSWORD, user

_STATE = re.compile(rb'name="state" value="([^"]+)"')
_SCOPE = "openid email profile groups offline_access"


@dataclass(frozen=True, slots=True)
class Account:
    """What somebody types, and into which connector's form."""

    name: str
    password: str
    connector_id: str = "local"


def local_account(number: int) -> Account:
    """Return one of the local users."""
    return Account(user(number), PASSWORD)


@dataclass(frozen=True, slots=True)
class Load:
    """Operations against one provider. Users differ by connection, as people do."""

    url: str
    account: Callable[[int], Account] = local_account

    async def keys(self, connection: Connection, _: int) -> None:
        """Read the key set."""
        await connection.send(get(self.url, "/keys"), 200)

    async def discovery(self, connection: Connection, _: int) -> None:
        """Read discovery."""
        await connection.send(get(self.url, "/.well-known/openid-configuration"), 200)

    async def login_page(self, connection: Connection, _: int) -> None:
        """Look at the login page."""
        await connection.send(get(self.url, self._authorize()), 200)

    async def client_credentials(self, connection: Connection, _: int) -> None:
        """Get a token for the client itself."""
        await connection.send(self._token({"grant_type": "client_credentials"}), 200)

    async def login(self, connection: Connection, number: int) -> None:
        """Sign in, from the first page to the tokens."""
        await self.sign_in(connection, number)

    async def sign_in(self, connection: Connection, number: int) -> dict[str, str]:
        """Return the tokens of a whole login."""
        account = self.account(number)
        redirect = await connection.send(await self.filled_in(connection, account), 303)
        code = parse_qs(urlsplit(redirect.location).query)["code"][0]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
        answer = await connection.send(self._token(form), 200)
        tokens: dict[str, str] = json.loads(answer.body)
        return tokens

    async def filled_in(self, connection: Connection, account: Account) -> bytes:
        """Look at the login page, and return the request that sends its form."""
        page = await connection.send(get(self.url, self._authorize(account.connector_id)), 200)
        state = _STATE.search(page.body)
        if state is None:
            raise ValueError("the login page has no state")
        form = {"login": account.name, "password": account.password, "state": state[1].decode()}
        path = f"/auth/{account.connector_id}/login"
        return post(self.url, path, form, cookie=page.cookie)

    @property
    def of_strangers(self) -> tuple[Operation, ...]:
        """Return what people do who never prove who they are."""
        return (
            self.login_page,
            self.garbage_code,
            self.garbage_refresh_token,
            self.garbage_access_token,
            # Last: after these the throttle answers everything from this address.
            self.wrong_secret,
        )

    async def wrong_password(self, connection: Connection, _: int) -> None:
        """Look at the login page, and send a wrong password: refused, whatever the reason."""
        nobody = Account("nobody\x00", "guess")
        await connection.send(await self.filled_in(connection, nobody), 401)

    async def wrong_secret(self, connection: Connection, _: int) -> None:
        """Send a wrong client secret."""
        form = {"grant_type": "client_credentials"}
        request = post(self.url, "/token", form, authorization=basic(CLIENT[0], "wrong"))
        await connection.send(request, None)

    async def garbage_code(self, connection: Connection, _: int) -> None:
        """Send a code that nobody issued."""
        form = {"grant_type": "authorization_code", "code": "kic_x", "redirect_uri": CALLBACK}
        await connection.send(self._token(form), 400)

    async def garbage_refresh_token(self, connection: Connection, _: int) -> None:
        """Send a refresh token that nobody issued."""
        form = {"grant_type": "refresh_token", "refresh_token": "kir_x.1.y.z"}
        await connection.send(self._token(form), 400)

    async def garbage_access_token(self, connection: Connection, _: int) -> None:
        """Ask userinfo with a token that nobody issued."""
        request = get(self.url, "/userinfo", authorization="Bearer eyJhbGciOiJub25lIn0.e30.")
        await connection.send(request, 401)

    def _authorize(self, connector_id: str = "local") -> str:
        query = {
            "client_id": CLIENT[0],
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": _SCOPE,
            "state": "some-state-of-the-client",
            "nonce": "some-nonce-of-the-client",
            "connector_id": connector_id,
        }
        return "/auth?" + urlencode(query)

    def _token(self, form: dict[str, str]) -> bytes:
        return post(self.url, "/token", form, authorization=basic(*CLIENT))


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Operations of people who have signed in, one per connection."""

    load: Load
    tokens: list[dict[str, str]]

    async def userinfo(self, connection: Connection, number: int) -> None:
        """Ask userinfo."""
        token = self.tokens[number]["access_token"]
        request = get(self.load.url, "/userinfo", authorization=f"Bearer {token}")
        await connection.send(request, 200)

    async def refresh(self, connection: Connection, number: int) -> None:
        """Refresh, with the token that the last refresh gave."""
        form = {
            "grant_type": "refresh_token",
            "refresh_token": self.tokens[number]["refresh_token"],
        }
        request = post(self.load.url, "/token", form, authorization=basic(*CLIENT))
        answer = await connection.send(request, 200)
        self.tokens[number] = json.loads(answer.body)
