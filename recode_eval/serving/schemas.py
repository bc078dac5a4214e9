"""The shapes of requests and replies, from which the OpenAPI document is generated.

`/verify` follows NeMo Gym 0.4 (`nemo_gym.base_resources_server`), `/reset`, `/step` and `/state`
follow OpenEnv 0.10 (`openenv.core.env_server.types`); both let clients send more than they name.
"""

# No postponed annotations: pydantic reads these when the classes are made.
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)

from recode_eval.serving.limits import LONGEST_NAME, MOST_IN_A_LIST


def _a_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("Input should be a text")  # noqa: TRY004 - what pydantic reports
    return value


def _a_whole_number(value: Any) -> Any:
    """Take 3.0 for 3, which are the same to JSON, and neither true nor "3"."""
    if isinstance(value, bool | str):
        raise ValueError("Input should be a whole number")  # noqa: TRY004 - what pydantic reports
    return int(value) if isinstance(value, float) and value.is_integer() else value


Text = Annotated[Any, AfterValidator(_a_text), WithJsonSchema({"type": "string"})]
"""A text with all that JSON can hold; pydantic's own refuses halves of surrogate pairs, which
models write and which get a verdict like any other text."""
Name = Annotated[str, Field(max_length=LONGEST_NAME)]
Seconds = Annotated[float, Field(gt=0, le=86400, strict=True, allow_inf_nan=False)]


# A list ends at its first fault: a description of each would fill the memory.
_FEW: Any = Field(max_length=10_000, fail_fast=True)
_MANY: Any = Field(max_length=MOST_IN_A_LIST, fail_fast=True)


class Strict(BaseModel):
    """A request of our own: a field that does not exist is a slip of the pen."""

    model_config = ConfigDict(extra="forbid")


class Lenient(BaseModel):
    """A request of another program, which may hold more."""

    model_config = ConfigDict(extra="allow")


class ErrorDetail(BaseModel):
    """What was wrong, and what helps."""

    code: str = Field(description="for programs, such as `queue_full`")
    message: str = Field(description="for people: the cause, and what to do")


class ErrorReply(BaseModel):
    """Nothing was graded, and there is no reward."""

    error: ErrorDetail


class GradeRequest(Strict):
    """One answer."""

    task: Name | None = Field(None, description="may be left out if the server has one task")
    problem_id: Name
    text: Text = Field(description="what the model wrote; the code is found in it")


class BatchAnswer(Strict):
    """One answer of a batch."""

    task: Name | None = Field(None, description="the batch's by default")
    problem_id: Name
    text: Text


class BatchRequest(Strict):
    """Many answers; all workers of the sandbox are kept busy."""

    task: Name | None = None
    answers: Annotated[list[BatchAnswer], _MANY]


class Graded(BaseModel):
    """What grading says of one answer."""

    reward: float | None = Field(
        description="1: passes all tests; 0: does not, or holds no code; null: unscored, because "
        "the machine could not grade it, which is no failure of the model"
    )
    explanation: str = Field(description="the first test that fails, or why it is unscored")
    code: str | None = Field(description="the code that was found")


class GradedBatch(BaseModel):
    """In the order of the request."""

    answers: list[Graded]


class ServedTask(BaseModel):
    """A task of this server."""

    name: str
    problems: int
    data: str = Field(description="a digest of its rows")


class Tasks(BaseModel):
    """What the server has, and takes."""

    version: str
    tasks: list[ServedTask]
    most_answers: int = Field(description="in one request")
    most_queued: int
    sandbox: str = Field(description="the tier, such as docker")


class Part(Lenient):
    """A piece of a message's content."""

    type: str = ""
    text: Text | None = None


class OutputItem(Lenient):
    """An item of a response of OpenAI's Responses API; messages of the assistant are read."""

    type: str = "message"
    role: str | None = None
    content: Annotated[list[Part], _FEW] | Text | None = None


class ModelResponse(Lenient):
    """A response of OpenAI's Responses API."""

    output: Annotated[list[OutputItem], _FEW]


class VerifierMetadata(Lenient):
    """Which problem it is: `verifier_metadata` of the row."""

    task: Name | None = None
    problem_id: Name


class VerifyRequest(Lenient):
    """What an agent of NeMo Gym sends to a resources server."""

    responses_create_params: dict[str, Any]
    response: ModelResponse
    verifier_metadata: VerifierMetadata


class VerifyReply(Lenient):
    """The request, with the reward."""

    reward: float
    explanation: str
    extracted_model_code: str | None


class VerifiedResponse(Lenient):
    """A reply of `/verify`, as the collector of rollouts sends it back."""

    reward: Annotated[float, Field(strict=True, ge=-1e100, le=1e100)]
    """Within bounds, so that a sum of many is a number."""


class AggregateRequest(Lenient):
    """All replies of `/verify` of a run."""

    verify_responses: Annotated[list[VerifiedResponse], _MANY]


class AggregateReply(BaseModel):
    """Means of the rewards."""

    group_level_metrics: list[dict[str, Any]]
    agent_metrics: dict[str, Any]
    key_metrics: dict[str, Any]


class ResetRequest(Lenient):
    """Begin an episode: one problem, one answer."""

    seed: Annotated[int, Field(ge=0), BeforeValidator(_a_whole_number)] | None = Field(
        None, description="chooses the problem where none is named"
    )
    episode_id: Annotated[str, Field(max_length=255)] | None = None
    task: Name | None = None
    problem_id: Name | None = None


class Action(Strict):
    """An answer to the problem of the episode."""

    answer: Text
    task: Name | None = None
    problem_id: Name | None = Field(
        None, description="needed over HTTP, which has no sessions; WebSocket sessions know it"
    )
    metadata: dict[str, Any] = {}


class HttpAction(Action):
    """An answer, and to which problem."""

    problem_id: Name


class StepRequest(Lenient):
    """One step, which ends the episode."""

    action: HttpAction
    timeout_s: Seconds | None = Field(
        None, description="longest wait for the verdict; an answer has 10 s at least"
    )
    request_id: Annotated[str, Field(max_length=255)] | None = None


class Message(BaseModel):
    """A message of the prompt."""

    role: str
    content: str


class Observation(BaseModel):
    """The problem at first, then what grading says."""

    task: str
    problem_id: str
    messages: list[Message] = Field(description="the prompt; empty after the step")
    prefill: Annotated[str, Field(description="how the prompt opens the answer")] = ""
    explanation: Annotated[str, Field(description="after the step: what fails")] = ""


class StepReply(BaseModel):
    """OpenEnv's reply to reset and step."""

    observation: Observation
    reward: float | None
    done: bool


class State(BaseModel):
    """Where an episode is; over HTTP there is none."""

    episode_id: str | None = None
    step_count: Annotated[int, Field(ge=0)] = 0
    task: str | None = None
    problem_id: str | None = None


class Health(BaseModel):
    """Whether the server takes answers."""

    status: Literal["healthy"]


class Metadata(BaseModel):
    """What this environment is."""

    name: str
    description: str
    version: str


class Schemas(BaseModel):
    """JSON Schemas of OpenEnv's parts."""

    action: dict[str, Any]
    observation: dict[str, Any]
    state: dict[str, Any]


class SocketMessage(Strict):
    """A message of an OpenEnv client."""

    type: Literal["reset", "step", "state", "close"]
    data: dict[str, Any] = {}
