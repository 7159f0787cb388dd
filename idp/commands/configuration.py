"""Reading the configuration for a command."""

from pathlib import Path

from idp.commands.console import CommandUnusable, Console
from idp.settings import ConfigurationInvalid, Settings, load


def configuration(path: Path, console: Console) -> Settings:
    """Return the settings. Raises CommandUnusable with every problem of the file."""
    try:
        return load(path, environ=console.environ)
    except ConfigurationInvalid as invalid:
        lines = [f"{path}: {problem}" for problem in invalid.problems]
        count = len(lines)
        lines.append(f"{path}: {count} problem{'s' if count > 1 else ''}; nothing started")
        raise CommandUnusable("\n".join(lines)) from None
