"""The HTTP interface: grade, NeMo Gym's verify, OpenEnv's reset and step, metrics."""

# No postponed annotations: FastAPI reads those of the handlers.
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, WebSocket
from starlette.responses import Response

from recode_eval import __version__
from recode_eval.serving import schemas
from recode_eval.serving.desk import Asked, Desk, Refusal
from recode_eval.serving.gate import Gate
from recode_eval.serving.limits import SHORTEST_WAIT_S
from recode_eval.serving.measures import Measures
from recode_eval.serving.openenv import OpenEnv, scored
from recode_eval.serving.requests import AsciiJSON, Room, StrictRoute, answer_errors

_Codes = dict[int | str, dict[str, Any]]
_ERRORS: _Codes = {
    400: {"description": "no JSON"},
    408: {"description": "the body came too slowly"},
    413: {"description": "the body is too large"},
    422: {"description": "the request is not of this shape"},
    429: {
        "description": "the queue is full, or the room for bodies",
        "headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}},
    },
    503: {"description": "no verdict, so no reward: the machine's fault, or the server ends"},
}
_NOT_FOUND: _Codes = {404: {"description": "no such task or problem"}}
_OF_ALL: _Codes = {
    401: {"description": "the token is missing"},
    403: {"description": "a page of a browser asks"},
    500: {"description": "a fault of the server"},
}
_GRADES = _ERRORS | _NOT_FOUND
_AGGREGATED: _Codes = {key: _ERRORS[key] for key in (400, 408, 413, 422, 429)}
_INDEX = "_ng_task_index"
"""NeMo Gym's name for the row of a rollout."""


def create_app(desk: Desk, measures: Measures, *, token: str, sandbox: str) -> FastAPI:
    """Return the application; `sandbox` is the tier's name, an empty `token` means none."""
    app = FastAPI(
        title="recode-eval rewards",
        summary="Grades what models wrote, in one sandbox for all processes.",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        default_response_class=AsciiJSON,
        responses=_shaped(_OF_ALL),
        separate_input_output_schemas=False,
    )
    app.router.route_class = StrictRoute
    app.state.limits = desk.limits
    app.state.room = Room(desk.limits)
    env = OpenEnv(desk)
    measures.show("recode_answers_in_progress", "Answers that wait or run", lambda: desk.taken)
    measures.show("recode_sessions", "WebSocket sessions", lambda: env.sessions)
    answer_errors(app, measures.refused)
    _add_grading(app, desk, sandbox)
    _add_nemo_gym(app, desk)
    _add_openenv(app, desk, env)

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """What the server counted, as Prometheus reads it."""
        return Response(measures.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    if token:
        _declare_token(app)
    app.add_middleware(Gate, token=token, refused=measures.refused)
    return app


def _add_grading(app: FastAPI, desk: Desk, sandbox: str) -> None:
    @app.post("/grade", responses=_shaped(_GRADES))
    async def grade(body: schemas.GradeRequest, request: Request) -> schemas.Graded:
        """Grade one answer."""
        asked = [Asked(body.task, body.problem_id, body.text)]
        [graded] = await desk.grade(asked, _until_gone(request))
        return _graded(graded)

    @app.post("/grade/batch", responses=_shaped(_GRADES))
    async def grade_batch(body: schemas.BatchRequest, request: Request) -> schemas.GradedBatch:
        """Grade many answers at once."""
        if len(body.answers) > desk.limits.batch:
            told = (
                f"{len(body.answers)} answers are more than {desk.limits.batch} at once. Send less."
            )
            raise Refusal(413, "batch_too_large", told)
        asked = [Asked(one.task or body.task, one.problem_id, one.text) for one in body.answers]
        graded = await desk.grade(asked, _until_gone(request)) if asked else []
        return schemas.GradedBatch(answers=[_graded(one) for one in graded])

    @app.get("/tasks")
    async def tasks() -> schemas.Tasks:
        """What this server has, and what it takes at most."""
        return schemas.Tasks(
            version=__version__,
            tasks=[
                schemas.ServedTask(
                    name=name, problems=len(grader.problems), data=grader.task.data.content_hash
                )
                for name, grader in desk.graders.items()
            ],
            most_answers=desk.limits.batch,
            most_queued=desk.limits.queue,
            sandbox=sandbox,
        )


def _add_nemo_gym(app: FastAPI, desk: Desk) -> None:
    @app.post("/seed_session", responses=_shaped(_AGGREGATED))
    async def seed_session(body: schemas.Lenient) -> dict[str, Any]:
        """Begin a rollout; nothing is kept."""
        del body
        return {}

    @app.post("/verify", response_model=schemas.VerifyReply, responses=_shaped(_GRADES))
    async def verify(body: schemas.VerifyRequest, request: Request) -> Response:
        """Grade the last message of a response; the reply is the request with its reward."""
        metadata = body.verifier_metadata
        asked = [Asked(metadata.task, metadata.problem_id, last_text(body.response))]
        [graded] = await desk.grade(asked, _until_gone(request))
        verdict = {
            "reward": scored(graded),
            "explanation": graded.explanation,
            "extracted_model_code": graded.code,
        }
        return AsciiJSON(await request.json() | verdict)

    @app.post("/aggregate_metrics", responses=_shaped(_AGGREGATED))
    async def aggregate_metrics(body: schemas.AggregateRequest) -> schemas.AggregateReply:
        """Average the rewards of a run, per problem and in all."""
        groups: defaultdict[str, list[float]] = defaultdict(list)
        for one in body.verify_responses:
            groups[str((one.model_extra or {}).get(_INDEX, 0))].append(one.reward)
        per_group = {key: sum(values) / len(values) for key, values in groups.items()}
        rewards = [one.reward for one in body.verify_responses]
        mean = {"mean/reward": sum(rewards) / len(rewards)} if rewards else {}
        return schemas.AggregateReply(
            group_level_metrics=[
                {_INDEX: _index(key), "mean/reward": value} for key, value in per_group.items()
            ],
            agent_metrics=mean,
            key_metrics=mean,
        )


def _add_openenv(app: FastAPI, desk: Desk, env: OpenEnv) -> None:
    @app.post("/reset", responses=_shaped(_AGGREGATED | _NOT_FOUND))
    async def reset(body: schemas.ResetRequest) -> schemas.StepReply:
        """Show a problem."""
        return env.reset(body)

    @app.post("/step", responses=_shaped(_GRADES))
    async def step(body: schemas.StepRequest, request: Request) -> schemas.StepReply:
        """Grade an answer to the problem that it names."""
        action = body.action
        asked = Asked(action.task, action.problem_id, action.answer)
        longest = None if body.timeout_s is None else max(body.timeout_s, SHORTEST_WAIT_S)
        return await env.step(asked, _until_gone(request), longest)

    @app.get("/state")
    async def state() -> schemas.State:
        """Over HTTP there is no episode."""
        return schemas.State()

    @app.get("/health", responses=_shaped({503: {"description": "the server ends"}}))
    async def health() -> schemas.Health:
        """Whether the server takes answers."""
        if desk.leaving:
            raise Refusal(503, "ending", "The server ends.")
        return schemas.Health(status="healthy")

    @app.get("/metadata")
    async def metadata() -> schemas.Metadata:
        """What this environment is."""
        return schemas.Metadata(
            name="recode-eval",
            description=f"Code against changed APIs: {', '.join(desk.graders)}",
            version=__version__,
        )

    @app.get("/schema")
    async def schema() -> schemas.Schemas:
        """JSON Schemas of action, observation and state."""
        return schemas.Schemas(
            action=schemas.Action.model_json_schema(),
            observation=schemas.Observation.model_json_schema(),
            state=schemas.State.model_json_schema(),
        )

    @app.websocket("/ws")
    async def session(socket: WebSocket) -> None:
        await env.serve(socket)


def last_text(response: schemas.ModelResponse) -> str:
    """Return the text of the last message of the assistant; empty where it wrote none."""
    messages = [
        item
        for item in response.output
        if item.type == "message" and item.role in {None, "assistant"}
    ]
    if not messages or messages[-1].content is None:
        return ""
    content = messages[-1].content
    if isinstance(content, str):
        return content
    return "".join(part.text for part in content if part.type == "output_text" and part.text)


def _index(key: str) -> int | str:
    return int(key) if key.isdecimal() and len(key) < 20 else key


def _until_gone(request: Request) -> Callable[[], Awaitable[None]]:
    """Return what waits until the client hangs up."""

    async def wait() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    return wait


def _graded(graded: Any) -> schemas.Graded:
    return schemas.Graded(reward=graded.reward, explanation=graded.explanation, code=graded.code)


def _shaped(codes: _Codes) -> _Codes:
    return {code: {"model": schemas.ErrorReply, **told} for code, told in codes.items()}


def _declare_token(app: FastAPI) -> None:
    """Say in the OpenAPI document that a token is wanted."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document: dict[str, Any] = generate()
        schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
        schemes["token"] = {"type": "http", "scheme": "bearer"}
        for path, methods in document["paths"].items():
            if path != "/health":
                for operation in methods.values():
                    operation["security"] = [{"token": []}]
        return document

    app.openapi = openapi
