"""The composition root: the only package that knows both the settings and the concrete classes.

`provider` opens and assembles, `web` puts the web listener together, `values` says what the
settings come to, `core` is what they share.
"""

from idp.app.core import Connectors, Surroundings
from idp.app.provider import Provider

__all__ = ["Connectors", "Provider", "Surroundings"]
