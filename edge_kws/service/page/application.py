"""The web server: guard, then Starlette, then handlers."""

import asyncio
import socket
import threading
from typing import TYPE_CHECKING

import anyio.to_thread
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edge_kws.service.page.api import Api
from edge_kws.service.page.assets import Assets
from edge_kws.service.page.connection import MAX_HEADER_BYTES, Connection
from edge_kws.service.page.guard import DEFECT, Guard, RefusalError, Rules
from edge_kws.service.page.hosts import Hosts
from edge_kws.service.page.live import Live
from edge_kws.service.page.token import Lock

if TYPE_CHECKING:
    from edge_kws.service.engine import Service

_WORKER_THREADS = 4


def guarded(service: "Service", hosts: Hosts, lock: Lock | None, stopping: threading.Event) -> Guard:
    """The whole application; `stopping` ends its streams."""
    assets = Assets()
    routes = [Route(path, assets.answer, methods=["GET"]) for path in assets.paths]
    routes += [Route(path, handler, methods=[method]) for path, method, handler in Api(service, lock).routes()]
    routes.append(Route("/api/live", Live(service, stopping), methods=["GET"]))
    answers = {404: _missing, 405: _wrong_method, RefusalError: _refused, Exception: _defect}
    return Guard(Starlette(routes=routes, exception_handlers=answers), Rules(hosts, lock))


def server(application: Guard) -> uvicorn.Server:
    """Uvicorn without its own log, signals and trust in proxies' headers."""
    config = uvicorn.Config(
        application,
        http=Connection,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def serve(server: uvicorn.Server, listener: socket.socket) -> None:
    """Serves until `should_exit`."""

    async def run() -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = _WORKER_THREADS
        await server.serve([listener])

    asyncio.run(run())


async def _missing(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": "no such page"}, 404)


async def _wrong_method(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": "not with that method"}, 405)


async def _refused(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, error.status if isinstance(error, RefusalError) else 500)


async def _defect(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": DEFECT}, 500)
