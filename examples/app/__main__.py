"""Run the example: `python -m examples.app --issuer http://127.0.0.1:5556 --client-id example`."""

import argparse
import ssl
import time
from urllib.parse import urlsplit

import uvicorn

from examples.app.provider import Provider
from examples.app.web import create_app


def main() -> None:
    """Read the command line and serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m examples.app", description=__doc__)
    parser.add_argument("--issuer", required=True, help="the provider's address")
    parser.add_argument("--client-id", required=True)
    parser.add_argument("--client-secret", help="leave out for a public client")
    parser.add_argument("--listen", default="127.0.0.1:5555", help="host:port (%(default)s)")
    parser.add_argument("--redirect-uri", help="where people reach us (http://LISTEN/callback)")
    parser.add_argument("--ca", help="PEM file with the authority that signed the provider")
    arguments = parser.parse_args()

    host, _, port = arguments.listen.rpartition(":")
    if not host or not port.isdecimal():
        parser.error(f"--listen is {arguments.listen!r}; write host:port, like 127.0.0.1:5555")
    redirect_uri = arguments.redirect_uri or f"http://{arguments.listen}/callback"
    clock = time.time  # noqa: TID251 - the only place that knows the time; everyone else is told
    provider = Provider(
        issuer=arguments.issuer,
        client_id=arguments.client_id,
        client_secret=arguments.client_secret,
        redirect_uri=redirect_uri,
        verify=ssl.create_default_context(cafile=arguments.ca),
        clock=clock,
    )
    app = create_app(provider, clock=clock, https=urlsplit(redirect_uri).scheme == "https")
    uvicorn.run(app, host=host.strip("[]"), port=int(port), log_level="warning")


main()
