"""Ports of the tests' servers: nobody is given one that somebody else was given."""

import socket
import subprocess
import sys

from tests.kit.servers.process import free_port

_PRINT = "from tests.kit.servers.process import free_port\nfor _ in range(200): print(free_port())"


def test_no_port_is_given_twice_although_nobody_listens_on_it_yet() -> None:
    """Of 400 out of 12,000 some are the same if chance alone decides, in all but a millionth."""
    ours = [free_port() for _ in range(200)]
    theirs = subprocess.run([sys.executable, "-c", _PRINT], capture_output=True, check=True).stdout

    assert len({*ours, *map(int, theirs.split())}) == 400


def test_a_port_can_be_listened_on() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        assert server.getsockname()[1]
