"""`idp crds`: what a cluster must know before the server can keep anything in it."""

from idp.commands.console import OK, Console
from storage.kubernetes.crds import text


def run(console: Console) -> int:
    """Print the manifests, for `kubectl apply --server-side -f -`."""
    console.out.write(text())
    return OK
