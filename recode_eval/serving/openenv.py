"""OpenEnv's environment: reset shows a problem, one step grades the answer and ends the episode.

The protocol is that of openenv 0.10 (`openenv.core.env_client`, `env_server.http_server`): sessions
over a WebSocket, single calls without a memory over HTTP. A step that could not be graded is an
error, not a reward; the episode stays open for another try.
"""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.websockets import WebSocketDisconnect

from recode_eval.run.prompts import PromptTemplate
from recode_eval.serving.desk import Asked, Desk, Refusal
from recode_eval.serving.requests import faults, parse_json
from recode_eval.serving.schemas import (
    Action,
    Message,
    Observation,
    ResetRequest,
    SocketMessage,
    State,
    StepReply,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import WebSocket

    from recode_eval.run.answering import GradedAnswer
    from recode_eval.tasks.base import Problem

M = TypeVar("M", bound=BaseModel)

_CODES: Final = {
    400: "INVALID_JSON",
    404: "VALIDATION_ERROR",
    422: "VALIDATION_ERROR",
    429: "CAPACITY_REACHED",
}
_MOST_AHEAD: Final = 8
"""Messages that a client may send before it has read the replies."""


class OpenEnv:
    """Episodes over the tasks of a server."""

    def __init__(self, desk: Desk) -> None:
        """Read the prompts; raises `UsageError` for one that is damaged."""
        self._desk = desk
        self._templates = {
            name: PromptTemplate.from_file(spec.prompts[spec.default_prompt].path)
            for name, grader in desk.graders.items()
            for spec in [grader.task.task.spec]
        }
        self._sessions = 0

    @property
    def sessions(self) -> int:
        """Sessions that are open."""
        return self._sessions

    def reset(self, asked: ResetRequest) -> StepReply:
        """Show a problem: the one that is named, or one that the seed chooses."""
        task, grader = self._desk.grader(asked.task)
        if asked.problem_id is None:
            seed = None if asked.seed is None else str(asked.seed)
            problem = random.Random(seed).choice(grader.task.problems)
        else:
            self._desk.check(task, asked.problem_id)
            problem = grader.problems[asked.problem_id]
        return StepReply(observation=self._shown(task, problem), reward=None, done=False)

    def _shown(self, task: str, problem: Problem) -> Observation:
        prompt = self._templates[task].render({**problem.context, "update_note": True})
        return Observation(
            task=task,
            problem_id=problem.id,
            messages=[Message(role=m.role, content=m.content) for m in prompt.messages],
            prefill=prompt.prefill or "",
        )

    async def step(
        self,
        asked: Asked,
        gone: Callable[[], Awaitable[object]],
        longest_s: float | None = None,
    ) -> StepReply:
        """Grade an answer; raises `Refusal` (503) if there is no verdict."""
        [graded] = await self._desk.grade([asked], gone, longest_s)
        task, _ = self._desk.grader(asked.task)
        return StepReply(
            observation=Observation(
                task=task,
                problem_id=asked.problem_id,
                messages=[],
                explanation=graded.explanation,
            ),
            reward=scored(graded),
            done=True,
        )

    async def serve(self, socket: WebSocket) -> None:
        """Hold one session until the client leaves, or the server ends."""
        await socket.accept()
        if self._desk.leaving or self._sessions >= self._desk.limits.sessions:
            told = f"{self._sessions} sessions are open, and no more may be. Try again later."
            await _send_error(socket, "CAPACITY_REACHED", told)
            await socket.close(1013)
            return
        self._sessions += 1
        try:
            await _Session(self, self._desk, socket).hold()
        finally:
            self._sessions -= 1


def scored(graded: GradedAnswer) -> float:
    """Return the reward; raises `Refusal` (503) for an answer without one, which is not 0."""
    if graded.reward is None:
        told = f"The answer could not be graded, and has no reward: {graded.explanation}"
        raise Refusal(503, "unscored", f"{told}. Send it again.")
    return graded.reward


@dataclass
class _Episode:
    id: str | None
    task: str
    problem_id: str
    steps: int = 0


class _Session:
    """One WebSocket: a reader puts messages in line, so that a hang-up is seen during a step."""

    def __init__(self, env: OpenEnv, desk: Desk, socket: WebSocket) -> None:
        self._env = env
        self._desk = desk
        self._socket = socket
        self._episode: _Episode | None = None
        self._gone = asyncio.Event()
        self._inbox: asyncio.Queue[str | None] = asyncio.Queue(_MOST_AHEAD)

    async def hold(self) -> None:
        """Answer messages until the end."""
        reading = asyncio.create_task(self._read())
        try:
            while (raw := await self._next()) is not None:
                reply = await self._reply(raw)
                if reply is None:
                    break
                await _send(self._socket, reply)
            if not self._gone.is_set():
                await self._socket.close()
        except (WebSocketDisconnect, RuntimeError):  # hung up while it was answered
            self._gone.set()
        finally:
            reading.cancel()

    async def _next(self) -> str | None:
        """Return the next message; None at the end of the session or the server."""
        taking = asyncio.create_task(self._inbox.get())
        ending = asyncio.create_task(self._desk.ending.wait())
        try:
            await asyncio.wait({taking, ending}, return_when=asyncio.FIRST_COMPLETED)
            return taking.result() if taking.done() else None
        finally:
            taking.cancel()
            ending.cancel()

    async def _read(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                self._gone.set()
                await self._inbox.put(None)
                return
            text = message.get("text")
            await self._inbox.put("bytes" if text is None else text)

    async def _reply(self, raw: str) -> dict[str, Any] | None:
        try:
            message = _checked(SocketMessage, parse_json(raw))
            if message.type == "close":
                return None
            if message.type == "state":
                return {"type": "state", "data": self._state().model_dump()}
            if message.type == "reset":
                reply = self._reset(_checked(ResetRequest, message.data))
            else:
                reply = await self._step(_checked(Action, message.data))
        except Refusal as refusal:
            if refusal.code == "hung_up":
                return None
            return _error(_CODES.get(refusal.status, "EXECUTION_ERROR"), refusal.message)
        return {"type": "observation", "data": reply.model_dump()}

    def _reset(self, asked: ResetRequest) -> StepReply:
        reply = self._env.reset(asked)
        shown = reply.observation
        self._episode = _Episode(asked.episode_id, shown.task, shown.problem_id)
        return reply

    async def _step(self, action: Action) -> StepReply:
        episode = self._episode
        if episode is None or episode.steps:
            told = "There is no open episode. Reset, then send one answer."
            raise Refusal(409, "no_episode", told)
        named = (action.task or episode.task, action.problem_id or episode.problem_id)
        if named != (episode.task, episode.problem_id):
            told = "The answer names another problem than the episode's. Reset with that one first."
            raise Refusal(422, "other_problem", told)
        asked = Asked(episode.task, episode.problem_id, action.answer)
        reply = await self._env.step(asked, self._gone.wait)
        episode.steps = 1
        return reply

    def _state(self) -> State:
        episode = self._episode
        if episode is None:
            return State()
        return State(
            episode_id=episode.id,
            step_count=episode.steps,
            task=episode.task,
            problem_id=episode.problem_id,
        )


def _checked(model: type[M], content: object) -> M:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise Refusal(422, "invalid", faults(list(error.errors())) + ".") from None


def _error(code: str, message: str) -> dict[str, Any]:
    return {"type": "error", "data": {"message": message, "code": code}}


async def _send(socket: WebSocket, content: dict[str, Any]) -> None:
    await socket.send_text(json.dumps(content))


async def _send_error(socket: WebSocket, code: str, message: str) -> None:
    await _send(socket, _error(code, message))
