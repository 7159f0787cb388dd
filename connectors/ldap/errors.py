"""What can go wrong between us and a directory.

Each is a ConnectorUnavailable: none says anything about a person. Texts are sentences for an
operator: which host, at which step, what is wrong, what to mend. None holds a password.
"""

from connectors.base import ConnectorUnavailable


class Malformed(ConnectorUnavailable):
    """A server sent what no server may send; nothing of it is used."""


class HostFailed(ConnectorUnavailable):
    """One host cannot be asked just now; another one may be."""

    def __init__(self, host: str, step: str, problem: str) -> None:
        super().__init__(f"{host}: {step}: {problem}")
        self.host = host
        self.step = step
        self.problem = problem


class NobodyAnswers(ConnectorUnavailable):
    """No host of the directory can be asked just now; the text says what is wrong with each."""


class ServiceBindRefused(ConnectorUnavailable):
    """The directory does not let us in as the configured `bindDN`."""


class SearchRefused(ConnectorUnavailable):
    """The directory answers a search, but not with a complete and usable result."""


class ValueUnreadable(ConnectorUnavailable):
    """An attribute has a value that makes no sense."""


class TrustUnusable(ConnectorUnavailable):
    """The configured certificates or keys cannot be used."""


class Busy(ConnectorUnavailable):
    """As many people are signing in as may at once."""
