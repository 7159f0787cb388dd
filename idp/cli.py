"""The command `idp`: the command line, and which command it means.

The only place that reads the environment. Commands are imported when they are run: `idp --help`
need not load a web server.
"""

import argparse
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from idp.clock import system_clock
from idp.commands.console import FAILED, CommandFailed, CommandUnusable, Console
from storage.base import StorageError

if TYPE_CHECKING:
    from idp.commands.sessions import Chosen
    from idp.commands.targets import Target

Options = argparse.Namespace
Command = Callable[[Options, Console], int]

_INTERRUPTED = 130
_WHERE = (
    "Works on the store of --config. Without it, on the cluster of your kubeconfig with your own"
    " rights, in the namespace of --namespace or else the context's."
)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, 2 not usable as it was called."""
    options = parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks must not end the command.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    console = Console(
        out=sys.stdout, err=sys.stderr, stdin=sys.stdin, environ=os.environ, clock=system_clock
    )
    try:
        status = run(options, console)
        console.out.flush()
    except BrokenPipeError:
        # Whoever read the answers has seen enough, and Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = FAILED
    sys.exit(status)


def run(options: Options, console: Console) -> int:
    """Run the chosen command and return its status; what it failed with is told."""
    command: Command = options.command
    try:
        return command(options, console)
    except CommandFailed as error:
        console.complain(str(error))
        return error.status
    except StorageError as error:
        console.complain(str(error))
        return FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """Return the grammar of the command line."""
    root = argparse.ArgumentParser(
        prog="idp", description="An OpenID Connect identity provider for Kubernetes."
    )
    commands = root.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_server_commands(commands)
    _add_key_commands(commands)
    _add_session_commands(commands)
    _add_user_commands(commands)
    _add_client_commands(commands)
    _add_connector_commands(commands)
    _command(commands, "version", "print the version", _version)
    return root


def _add_server_commands(commands: Any) -> None:
    serve = _command(commands, "serve", "serve a configuration until told to stop", _serve)
    _add_config(serve)
    serve.add_argument("--inherit", help=argparse.SUPPRESS)
    check = _command(
        commands, "check", "tell everything that is wrong with a configuration", _check
    )
    _add_config(check)
    check.add_argument(
        "--cluster",
        action="store_true",
        help="look into the cluster too: is it there, does it have what the server needs",
    )
    _command(
        commands, "hash-password", "read a password and print its hash for staticPasswords", _hash
    )
    _command(
        commands,
        "crds",
        "print the custom resource definitions",
        _crds,
        more="Apply them with: idp crds | kubectl apply --server-side -f -",
    )


def _add_key_commands(commands: Any) -> None:
    keys = _group(commands, "keys", "show and rotate the keys that sign tokens")
    scan = _command(keys, "list", "show the published keys, and which one signs next", _list_keys)
    rotate = _command(
        keys,
        "rotate",
        "let the next key sign",
        _rotate_keys,
        more="A routine rotation waits until everybody has had time to learn the next key.",
    )
    rotate.add_argument(
        "--emergency",
        action="store_true",
        help="a key was stolen: replace all keys at once; tokens they signed are refused soon",
    )
    rotate.add_argument("--no-wait", action="store_true", help="do not wait for the answer")
    reseal = _command(keys, "reseal", "seal all records with another sealing key", _reseal)
    for each in (scan, rotate, reseal):
        each.add_argument(
            "place", nargs="?", type=Path, metavar="CONFIG", help="the same as --config"
        )
        _add_target(each)


def _add_session_commands(commands: Any) -> None:
    session = _group(commands, "session", "show and end the sessions of people")
    scan = _command(session, "list", "show who is signed in where", _list_sessions)
    _add_choice(scan)
    _add_style(scan)
    revoke = _command(session, "revoke", "end sessions, at every replica within a second", _revoke)
    revoke.add_argument("names", nargs="*", metavar="NAME", help="as `idp session list` shows it")
    _add_choice(revoke)
    revoke.add_argument("--yes", action="store_true", help="with --user: do not ask")
    for each in (scan, revoke):
        _add_target(each)


def _add_user_commands(commands: Any) -> None:
    user = _group(commands, "user", "keep people out, let them in again, and sign them out")
    lock = _command(user, "lock", "keep a person out at once", _lock)
    lock.add_argument("--name", default="", help="the person's name, for those who read the list")
    unlock = _command(user, "unlock", "let a person in again", _unlock)
    logout = _command(
        user,
        "logout",
        "end every login of a person",
        _logout,
        more="They may sign in again; to keep them out, lock them.",
    )
    logout.add_argument("--name", default="", help="the person's name, for those who read the list")
    for each in (lock, unlock, logout):
        each.add_argument("--connector", required=True, help="the connector that knows the person")
        each.add_argument("user_id", metavar="USER_ID", help="the person's id at that connector")
        _add_target(each)


def _add_client_commands(commands: Any) -> None:
    client = _group(commands, "client", "show and remove applications that registered themselves")
    scan = _command(client, "list", "show who registered", _list_clients)
    _add_style(scan)
    remove = _command(
        client,
        "remove",
        "end registrations, at every replica within a second",
        _remove_clients,
        more="What the applications got for people ends too. They may register again.",
    )
    remove.add_argument(
        "client_ids", nargs="+", metavar="CLIENT_ID", help="as `idp client list` shows it"
    )
    for each in (scan, remove):
        _add_target(each)


def _add_connector_commands(commands: Any) -> None:
    connector = _group(commands, "connector", "look at sources of users")
    test = _command(
        connector,
        "test",
        "try a directory step by step, and show who somebody would be",
        _test_connector,
        more="Asks for no password. The connector is one of the file that --config names, or an"
        " IdentityConnector of the cluster.",
    )
    test.add_argument("name", metavar="NAME", help="the id of the connector")
    test.add_argument("--user", default="", help="whom to look for, as they would type it")
    _add_target(test)


def _group(commands: Any, name: str, about: str) -> Any:
    group = commands.add_parser(name, help=about, description=_sentence(about))
    return group.add_subparsers(title="commands", required=True, metavar="COMMAND")


def _command(
    commands: Any, name: str, about: str, command: Command, *, more: str = ""
) -> argparse.ArgumentParser:
    description = " ".join(filter(None, (_sentence(about), more)))
    added: argparse.ArgumentParser = commands.add_parser(name, help=about, description=description)
    added.set_defaults(command=command)
    return added


def _sentence(about: str) -> str:
    return f"{about[0].upper()}{about[1:]}."


def _add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "config", type=Path, metavar="CONFIG", help="the configuration file (YAML)"
    )


def _add_target(command: argparse.ArgumentParser) -> None:
    where = command.add_argument_group("which store", _WHERE)
    where.add_argument(
        "-c", "--config", type=Path, metavar="CONFIG", help="the server's configuration"
    )
    where.add_argument("--kubeconfig", type=Path, metavar="FILE", help="how to reach the cluster")
    where.add_argument("-n", "--namespace", default="", help="where the provider's objects are")


def _add_style(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-o", "--output", choices=("table", "json"), default="table", help="the form of the list"
    )


def _add_choice(command: argparse.ArgumentParser) -> None:
    command.add_argument("--user", default="", help="only of this user, as the list shows them")
    command.add_argument("--client", default="", help="only with this client")
    command.add_argument("--connector", default="", help="only through this connector")


def _target(options: Options) -> "Target":
    from idp.commands.targets import Target

    place = getattr(options, "place", None)
    if place is not None and options.config is not None:
        raise CommandUnusable("The configuration is named twice: leave --config out")
    return Target(
        config=place or options.config,
        kubeconfig=options.kubeconfig,
        namespace=options.namespace,
    )


def _chosen(options: Options) -> "Chosen":
    from idp.commands.sessions import Chosen

    return Chosen(user=options.user, client=options.client, connector=options.connector)


def _finish(work: Coroutine[Any, Any, int]) -> int:
    import asyncio

    return asyncio.run(work)


def _version(_: Options, console: Console) -> int:
    from idp.commands import version

    return version.run(console)


def _hash(_: Options, console: Console) -> int:
    from idp.commands import hash_password

    return hash_password.run(console)


def _crds(_: Options, console: Console) -> int:
    from idp.commands import crds

    return crds.run(console)


def _serve(options: Options, console: Console) -> int:
    from idp.commands import serve

    return serve.run(console, options.config, inherit=options.inherit)


def _check(options: Options, console: Console) -> int:
    from idp.commands import check

    if options.cluster:
        return check.run_with_cluster(console, options.config)
    return check.run(console, options.config)


def _list_keys(options: Options, console: Console) -> int:
    from idp.commands import keys

    return _finish(keys.scan(console, _target(options)))


def _rotate_keys(options: Options, console: Console) -> int:
    from idp.commands import keys

    patience = keys.Patience(wait_for=0) if options.no_wait else keys.Patience()
    manner: keys.Manner = "emergency" if options.emergency else "routine"
    return _finish(keys.rotate(console, _target(options), manner, patience))


def _reseal(options: Options, console: Console) -> int:
    from idp.commands import keys

    return _finish(keys.reseal(console, _target(options)))


def _list_sessions(options: Options, console: Console) -> int:
    from idp.commands import sessions

    chosen = _chosen(options)
    return _finish(sessions.scan(console, _target(options), chosen, style=options.output))


def _revoke(options: Options, console: Console) -> int:
    from idp.commands import sessions

    chosen = _chosen(options)
    if options.names and chosen.columns():
        raise CommandUnusable("Give names, or --user; not both")
    if options.names:
        return _finish(sessions.revoke(console, _target(options), options.names))
    if not options.user:
        raise CommandUnusable("Say which sessions: NAME..., or --user")
    agreed = "yes" if options.yes else ""
    work = sessions.revoke_chosen(console, _target(options), chosen, agreed=agreed)
    return _finish(work)


def _lock(options: Options, console: Console) -> int:
    from idp.commands import users

    work = users.lock(
        console,
        _target(options),
        connector=options.connector,
        user_id=options.user_id,
        user=options.name,
    )
    return _finish(work)


def _list_clients(options: Options, console: Console) -> int:
    from idp.commands import clients

    return _finish(clients.scan(console, _target(options), style=options.output))


def _remove_clients(options: Options, console: Console) -> int:
    from idp.commands import clients

    return _finish(clients.remove(console, _target(options), options.client_ids))


def _test_connector(options: Options, console: Console) -> int:
    from idp.commands import connector

    work = connector.examine(console, _target(options), name=options.name, user=options.user)
    return _finish(work)


def _unlock(options: Options, console: Console) -> int:
    from idp.commands import users

    work = users.unlock(
        console, _target(options), connector=options.connector, user_id=options.user_id
    )
    return _finish(work)


def _logout(options: Options, console: Console) -> int:
    from idp.commands import users

    work = users.logout(
        console,
        _target(options),
        connector=options.connector,
        user_id=options.user_id,
        user=options.name,
    )
    return _finish(work)
