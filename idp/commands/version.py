"""`idp version`."""

import platform

from idp import __version__
from idp.commands.console import OK, Console


def run(console: Console) -> int:
    """Print the versions of the program and of Python."""
    console.say(f"idp {__version__} (Python {platform.python_version()})")
    return OK
