"""What a listener's connections lead to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from idp.transport.asgi import ASGIApp
from idp.transport.documents import Documents, DocumentsApp


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a listener's connections lead to. `on_refusal` counts the answers the transport gave."""

    app: ASGIApp
    documents: Documents
    on_refusal: Callable[[int], None] = field(default=lambda status: None)

    def uvicorn_config(self) -> Config:
        """Return the settings that uvicorn's protocol wants; it logs and decides nothing."""
        app = DocumentsApp(self.documents, self.app)
        config = Config(
            cast(ASGI3Application, app),
            http=HttpToolsProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
        )
        config.load()
        return config
