"""`idp hash-password`: from a password to what stands in a configuration."""

import getpass

from connectors.passwords import UnusablePassword, new_hash
from idp.commands.console import OK, CommandUnusable, Console


def run(console: Console) -> int:
    """Read a password, twice at a terminal, and print its hash."""
    if console.stdin.isatty():
        password = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != password:
            raise CommandUnusable("The two passwords differ. Nothing was hashed.")
    else:
        password = console.stdin.readline().rstrip("\r\n")
    try:
        console.say(new_hash(password))
    except UnusablePassword as error:
        raise CommandUnusable(f"This password cannot be used: {error}") from None
    return OK
