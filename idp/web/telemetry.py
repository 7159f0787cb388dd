"""The telemetry listener: health for Kubernetes' probes, metrics for Prometheus."""

from collections.abc import Callable, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from idp.web.answers import NO_STORE
from idp.web.errors import Endpoint

Check = Callable[[], str]
"""Returns "ok", or a word that says what is wrong."""


def health(checks: Mapping[str, Check]) -> Endpoint:
    """Return an endpoint that is 200 while every check is ok, and 503 otherwise."""

    async def answer(_: Request) -> Response:
        states = {name: check() for name, check in checks.items()}
        healthy = all(state == "ok" for state in states.values())
        return JSONResponse(states, status_code=200 if healthy else 503, headers=NO_STORE)

    return answer


def telemetry_app(*, ready: Mapping[str, Check], registry: CollectorRegistry) -> Router:
    """Return the application of the telemetry listener, with Dex's paths."""

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Router(
        [
            Route("/healthz", health(ready)),
            Route("/healthz/ready", health(ready)),
            Route("/healthz/live", health({})),
            Route("/metrics", metrics),
        ],
        redirect_slashes=False,
    )
