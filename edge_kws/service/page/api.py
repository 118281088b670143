"""What the browser may ask and say, as JSON. Handlers run in worker threads: the store may wait for its disk."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge_kws import __version__
from edge_kws.errors import ConfigError, EdgeKwsError
from edge_kws.service.page.expectation import expectation
from edge_kws.service.page.guard import BODY, RefusalError
from edge_kws.service.page.support import bundle, file_name
from edge_kws.service.page.token import COOKIE, Lock

if TYPE_CHECKING:
    from edge_kws.service.engine import Service

_ID = re.compile(r"[0-9]{1,16}")
_EVENTS = 100
_COOKIE_DAYS = 180


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Login(_Body):
    """The token, as typed."""

    token: str = Field(max_length=200)


class Said(_Body):
    """What an event was; None takes it back."""

    verdict: Literal["false_wake", "correct"] | None


class Missed(_Body):
    """What was missed just now."""

    input: str = Field(max_length=64)
    pack: str = Field(max_length=64)
    label: str = Field(max_length=64)


class Threshold(_Body):
    """A threshold, 0..1; None: the config's again."""

    input: str = Field(max_length=64)
    pack: str = Field(max_length=64)
    threshold: float | None = Field(gt=0, le=1)


_Parsed = TypeVar("_Parsed", bound=_Body)
Handler = Callable[[Request], Response]


class Api:
    """The handlers; `routes` says where each of them is.

    Args:
        service: the daemon.
        lock: None where no token is asked for.
    """

    def __init__(self, service: "Service", lock: Lock | None) -> None:
        self._service, self._lock = service, lock

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Path, method and handler."""
        table: list[tuple[str, str, Callable[[Request], Any]]] = [
            ("/api/login", "POST", self.login),
            ("/api/about", "GET", self.about),
            ("/api/events", "GET", self.events),
            ("/api/changes", "GET", self.changes),
            ("/api/clips/{id}", "GET", self.clip),
            ("/api/events/{id}/verdict", "POST", self.verdict),
            ("/api/missed", "POST", self.missed),
            ("/api/threshold", "POST", self.threshold),
            ("/api/support", "GET", self.support),
        ]
        return [(path, method, _answering(handler)) for path, method, handler in table]

    def login(self, request: Request) -> Response:
        """Takes the token, gives a cookie that scripts cannot read."""
        if self._lock is None:
            return JSONResponse({})
        if not self._lock.fits(_parse(request, Login).token.strip()):
            raise RefusalError(403, "that is not the token; it is in the file page_token in the service's state folder")
        answer = JSONResponse({})
        secure = request.headers.get("origin", "").startswith("https://")
        answer.set_cookie(COOKIE, self._lock.cookie, 86_400 * _COOKIE_DAYS, httponly=True, samesite="strict", secure=secure)
        return answer

    def about(self, _: Request) -> dict[str, Any]:
        """What does not change from second to second: each pack's description and what its thresholds are expected to cost."""
        packs = {
            f"{name}/{loaded.name}": {
                "description": loaded.pack.info.description,
                "license": loaded.pack.info.license,
                "expectation": [span.to_json() for span in expectation(loaded.pack.info)],
            }
            for name, listening in self._service.inputs.items()
            for loaded in listening.packs
        }
        return {"version": __version__, "packs": packs}

    def events(self, request: Request) -> list[dict[str, Any]]:
        """Stored events, newest first: `?before=ID` for older ones."""
        before = request.query_params.get("before")
        found = self._service.store.events(_EVENTS, None if before is None else _id(before))
        return [event.to_json() for event in found]

    def changes(self, _: Request) -> list[dict[str, Any]]:
        """Status changes and notices, newest first."""
        return [change.to_json() for change in self._service.store.changes(_EVENTS)]

    def clip(self, request: Request) -> Response:
        """An event's audio."""
        data = self._service.clip(_id(request.path_params["id"]))
        if data is None:
            raise RefusalError(404, "the audio has gone: without retention it stays in memory for about a minute")
        return Response(data, media_type="audio/wav")

    def verdict(self, request: Request) -> dict[str, Any]:
        """Says what an event was."""
        stored = self._service.label(_id(request.path_params["id"]), _parse(request, Said).verdict)
        if stored is None:
            raise RefusalError(404, "no such event: it may have been too old to keep")
        return stored.to_json()

    def missed(self, request: Request) -> dict[str, Any]:
        """Says that something was missed in the last seconds."""
        said = _parse(request, Missed)
        label = self._service.missed(said.input, said.pack, said.label)
        return {"id": label.id, "label": label.label, "kept": self._service.config.retention.clips}

    def threshold(self, request: Request) -> dict[str, Any]:
        """Puts a threshold in force."""
        wanted = _parse(request, Threshold)
        self._service.set_threshold(wanted.input, wanted.pack, wanted.threshold)
        return {}

    def support(self, request: Request) -> Response:
        """The support bundle: `?audio=1` adds kept clips."""
        data = bundle(self._service, audio=request.query_params.get("audio") == "1")
        headers = {"content-disposition": f'attachment; filename="{file_name()}"'}
        return Response(data, media_type="application/zip", headers=headers)


def _answering(handler: Callable[[Request], Any]) -> Handler:
    """The handler with our errors as answers of one line."""

    def answer(request: Request) -> Response:
        try:
            found = handler(request)
        except RefusalError as refusal:
            return JSONResponse({"error": str(refusal)}, refusal.status)
        except ConfigError as error:
            return JSONResponse({"error": str(error)}, 400)
        except EdgeKwsError as error:
            return JSONResponse({"error": str(error)}, 503)
        return found if isinstance(found, Response) else JSONResponse(found)

    return answer


def _id(text: str) -> int:
    if not _ID.fullmatch(text) or not text.isascii():
        raise RefusalError(400, "expected an event's number")
    return int(text)


def _parse(request: Request, kind: type[_Parsed]) -> _Parsed:
    try:
        return kind.model_validate_json(request.scope[BODY])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:80] or "body"
        raise RefusalError(400, f"{where}: {first['msg'][:200]}") from None
