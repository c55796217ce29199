"""The application: paths, what they take and what they answer."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.requests import ClientDisconnect

from mtvit_core.errors import DataError, MtvitError
from mtvit_core.serving.answer import Question, answer
from mtvit_core.serving.body import MEDIA_TYPES, read_image_bytes
from mtvit_core.serving.guards import App, Guard
from mtvit_core.serving.metrics import MEDIA_TYPE, Metrics
from mtvit_core.serving.schemas import Card, Prediction, Problem, State
from mtvit_core.serving.served import Served
from mtvit_core.serving.worker import FullError, Worker

PAGE = Path(__file__).parent / "page"
#: Names by which programs on the same machine call a server.
LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
_BINARY = {"schema": {"type": "string", "format": "binary"}}


class Service:
    """A served model with its worker, its metrics and whether it still takes requests."""

    def __init__(self, served: Served) -> None:
        """Start the worker."""
        self.served = served
        self.worker = Worker(served.limits.waiting)
        self.metrics = Metrics(served, lambda: self.worker.taken)
        self.stopping = False

    async def predict(self, request: Request, min_score: float, categories: list[str], maps: bool) -> bytes:
        """Answer ``POST /predict``.

        Raises:
            HTTPException: of every status that the description names.
        """
        limits, read = self.served.limits, False
        try:
            with self.worker.place() as place:
                async with asyncio.timeout(limits.seconds):
                    image = await read_image_bytes(request, limits.bytes)
                    read = True
                    question = Question(image, min_score, tuple(categories), maps)
                    answered = await place.do(partial(answer, self.served, question, time.perf_counter()))
        except FullError:
            raise HTTPException(
                429,
                f"queue: {limits.waiting + 1} images are already here; ask again later.",
                {"Retry-After": "1"},
            ) from None
        except TimeoutError:
            late = "answered" if read else "sent"
            raise HTTPException(
                504 if read else 408, f"time: the image was not {late} within {limits.seconds:g} seconds."
            ) from None
        except ClientDisconnect:  # nobody reads this, but it is counted
            raise HTTPException(400, "body: the client left before its end.") from None
        except DataError as error:
            raise HTTPException(422, str(error)) from None
        except MtvitError as error:
            raise HTTPException(500, str(error)) from None
        self.metrics.observe(answered)
        return answered.body


def create_app(served: Served, hosts: Sequence[str] = LOCAL_NAMES, token: str | None = None) -> App:
    """Return the ASGI application of a model.

    Args:
        served: The model.
        hosts: Names that it may be called by, without port; ``*`` for any.
        token: What requests have to bring in ``Authorization: Bearer``; None for nothing.
    """
    service = Service(served)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.stopping = True
        await asyncio.to_thread(service.worker.end)

    app = FastAPI(
        title="mtvit",
        version=version("mtvit-core"),
        description=f"What {served.name} finds in images.",
        docs_url=None,  # FastAPI's pages load their scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        responses={400: {"model": Problem}, 401: {"model": Problem}, 403: {"model": Problem}},
    )
    _add_paths(app, service)
    app.add_exception_handler(AnyHTTPException, _problem)
    app.add_exception_handler(RequestValidationError, _problem)
    app.add_exception_handler(Exception, _problem)
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    known = {*app.openapi()["paths"], "/", "/openapi.json"}

    def answered(path: str, status: int) -> None:
        service.metrics.count(path if path in known else "other", status)

    return Guard(app, hosts, token, answered)


def _add_paths(app: FastAPI, service: Service) -> None:
    problems: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem} for status in (408, 413, 415, 422, 429, 500, 504)
    }
    body = {"required": True, "content": dict.fromkeys(MEDIA_TYPES, _BINARY)}

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", headers={"cache-control": "no-cache"})

    @app.post(
        "/predict",
        summary="Say what the model finds in an image, which is the body",
        responses={200: {"model": Prediction}, **problems},
        openapi_extra={"requestBody": body},
    )
    async def predict(
        request: Request,
        min_score: Annotated[float, Query(ge=0, le=1, description="Leave out lower scores.")] = 0.3,
        category: Annotated[list[str] | None, Query(description="Names to answer with.")] = None,
        maps: Annotated[bool, Query(description="Whether to answer with pictures of maps.")] = True,
    ) -> Response:
        told = await service.predict(request, min_score, category or [], maps)
        return Response(told, media_type="application/json")

    @app.get("/model", summary="Tell about the model", responses={200: {"model": Card}})
    async def model() -> JSONResponse:
        return JSONResponse(service.served.card())

    @app.get("/health", summary="Tell that the process runs")
    async def health() -> State:
        return State(status="ok")

    @app.get("/ready", summary="Tell whether requests are taken", responses={503: {"model": State}})
    async def ready(response: Response) -> State:
        response.status_code = 503 if service.stopping else 200
        return State(status="stopping" if service.stopping else "ok")

    @app.get(
        "/metrics",
        summary="Counts and times for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=MEDIA_TYPE)


async def _problem(_: Request, error: Exception) -> JSONResponse:
    """Every error is one line under ``error``."""
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        return JSONResponse({"error": f"{place}: {first['msg']}."}, 422)
    if isinstance(error, AnyHTTPException):
        return JSONResponse({"error": error.detail}, error.status_code, dict(error.headers or {}))
    return JSONResponse({"error": f"the model failed ({type(error).__name__}); see the server's log."}, 500)
