"""`make run`: the provider of `dev.yaml` and the example application, until Ctrl-C.

Whatever the two say goes into files below `run/`; the screen shows where everything is. When one of
them ends by itself the other is stopped, and the last words of the one that ended are shown.
"""

import argparse
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM, Signals, signal
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import httpx2
import yaml

HERE = Path(__file__).parent
ROOM = Path("run")
CLIENT = "example-app"
PASSWORD = "password"  # noqa: S105 - the demo user's, whose hash is in dev.yaml
PATIENCE_SECONDS = 20
_POLL_SECONDS = 0.1


class CannotRun(Exception):
    """The demonstration cannot be shown; the text says why and what to do."""


class Interrupted(Exception):
    """Somebody pressed Ctrl-C, closed the terminal or sent SIGTERM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """What is shown, read from the provider's configuration."""

    config: Path
    issuer: str
    listening: Mapping[str, str]
    client_secret: str
    callback: str
    person: str

    @property
    def application(self) -> str:
        """The address of the example application."""
        return self.callback.removesuffix("/callback")

    def commands(self) -> Mapping[str, Sequence[str]]:
        """Return the commands to run, by the name under which people know them."""
        return {
            "provider": ["-m", "idp", "serve", str(self.config)],
            "example application": [
                *("-m", "examples.app", f"--issuer={self.issuer}", f"--client-id={CLIENT}"),
                f"--client-secret={self.client_secret}",
                f"--listen={urlsplit(self.callback).netloc}",
            ],
        }


@dataclass(frozen=True, slots=True)
class Child:
    """One of the two processes, and the file that has its output."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    @classmethod
    def start(cls, name: str, arguments: Sequence[str]) -> "Child":
        """Start Python with these arguments, in our process group: Ctrl-C reaches it too."""
        log = ROOM / f"{name.replace(' ', '-')}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return cls(name, process, log)

    def check(self) -> None:
        """Raise CannotRun, with its last words, if it has ended."""
        status = self.process.poll()
        if status is None:
            return
        tail = self.log.read_text(errors="replace").splitlines()[-20:]
        raise CannotRun("\n".join([f"The {self.name} ended (status {status}). It said:", *tail]))

    def wait(self) -> None:
        """Wait until it has stopped by itself; after some seconds use force."""
        try:
            self.process.wait(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def read(config: Path) -> Demonstration:
    """Return what a configuration demonstrates. Raises CannotRun for one that shows nothing."""
    try:
        document: dict[str, Any] = yaml.safe_load(config.read_text())
        clients = {client["id"]: client for client in document["staticClients"]}
        file = Path(document["storage"]["config"]["file"])
        file.parent.mkdir(parents=True, exist_ok=True)
        return Demonstration(
            config=config,
            issuer=document["issuer"],
            listening={
                "provider": document["web"]["http"],
                "provider's telemetry": document["telemetry"]["http"],
            },
            client_secret=clients[CLIENT]["secret"],
            callback=clients[CLIENT]["redirectURIs"][0],
            person=document["staticPasswords"][0]["email"],
        )
    except (OSError, KeyError, IndexError, TypeError, yaml.YAMLError) as error:
        raise CannotRun(
            f"{config} cannot be shown: {type(error).__name__}: {error}. It needs what"
            f" {HERE.name}/dev.yaml has: issuer, storage, web.http, telemetry.http, a client"
            f" `{CLIENT}` with a secret and a redirect URI, and a user."
        ) from error


def check_ports(demonstration: Demonstration) -> None:
    """Raise CannotRun if somebody else listens where we want to."""
    wanted = {
        **demonstration.listening,
        "example application": urlsplit(demonstration.callback).netloc,
    }
    for name, address in wanted.items():
        host, _, port = address.rpartition(":")
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, int(port)))
            except OSError as error:
                raise CannotRun(
                    f"The {name} cannot listen on {address}: {error.strerror}.\n"
                    "Stop the other program, or change the address in"
                    f" {demonstration.config} wherever it is written."
                ) from error


def wait_until_answered(children: Sequence[Child], addresses: Sequence[str]) -> None:
    """Return when all addresses answer. Raises CannotRun."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    for address in addresses:
        while not _answers(address):
            for child in children:
                child.check()
            if time.monotonic() > deadline:
                raise CannotRun(f"{address} did not answer within {PATIENCE_SECONDS} s.")
            time.sleep(_POLL_SECONDS)


def _answers(address: str) -> bool:
    try:
        return httpx2.get(address, trust_env=False, timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


def greeting(demonstration: Demonstration) -> str:
    """Return what people read when everything runs."""
    telemetry = demonstration.listening["provider's telemetry"]
    return f"""
  Everything runs. Open the example application and sign in:

    Example application   {demonstration.application}
    Provider              {demonstration.issuer}
    Telemetry             http://{telemetry}/metrics

    User                  {demonstration.person}
    Password              {PASSWORD}

  kubectl: an API server takes https issuers only, see {HERE.name}/kubectl/README.md
  Logs:    tail -f {ROOM}/*.log
  Stop:    Ctrl-C
"""


@contextlib.contextmanager
def running(commands: Mapping[str, Sequence[str]]) -> Iterator[list[Child]]:
    """Start the commands, and stop them all in the end."""
    children: list[Child] = []
    try:
        for name, arguments in commands.items():
            children.append(Child.start(name, arguments))
        yield children
    finally:
        for child in children:
            child.process.send_signal(SIGINT)
        for child in children:
            child.wait()


def show(config: Path) -> None:
    """Run everything until interrupted. Raises CannotRun and Interrupted."""
    ROOM.mkdir(exist_ok=True)
    demonstration = read(config)
    check_ports(demonstration)
    discovery = f"{demonstration.issuer}/.well-known/openid-configuration"
    with running(demonstration.commands()) as children:
        wait_until_answered(children, [discovery, f"{demonstration.application}/"])
        _say(greeting(demonstration))
        while True:
            for child in children:
                child.check()
            time.sleep(_POLL_SECONDS)


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Once is enough: what stops the children must not be interrupted itself.
    for each in (SIGINT, SIGTERM, SIGHUP):
        signal(each, _ignore)
    _say("\n  Stopping: the provider finishes what it has begun, which takes some seconds.\n")
    raise Interrupted(Signals(number).name)


def _ignore(number: int, frame: FrameType | None) -> None:
    _say("  Stopping already.\n")


def main() -> int:
    """Run everything until Ctrl-C; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m examples.run", description=__doc__)
    parser.add_argument("config", type=Path, nargs="?", default=HERE / "dev.yaml")
    config: Path = parser.parse_args().config
    for number in (SIGINT, SIGTERM, SIGHUP):
        signal(number, _interrupt)
    try:
        show(config)
    except CannotRun as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    except Interrupted:
        _say("  Stopped.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
