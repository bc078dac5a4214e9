"""Asking a model until every conversation of a run is finished.

One loop takes events: an answer is there, a visible test or a tool has run. What follows from one
is begun at once, in threads that wait for the sandbox. A model that takes requests while it answers
others (`FollowingModel`) is asked as soon as a conversation can go on; any other one in rounds,
each with all that are open, while the sandbox already works on those that have an answer.

An answer is written to the journal by whoever receives it, before anything else happens to it.

With a budget, a request that might cost more than is left of it waits until others have ended for
less than their worst; when none is in flight, what still waits is stopped.
"""

from __future__ import annotations

import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from recode_eval.conversations.conversation import Ask, Done
from recode_eval.costs.spending import estimate_tokens
from recode_eval.models.base import FollowingModel
from recode_eval.models.feed import Feed
from recode_eval.sandbox.base import SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from recode_eval.conversations.conversation import Conversation, Next
    from recode_eval.conversations.journal import Entry, Line
    from recode_eval.costs.spending import Spending
    from recode_eval.models.base import Completion, Model, Request, SamplingParameters

    Key = tuple[str, int]

_NO_ANSWER: Final = "the model gave no answer"
_JOIN_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Stopped:
    """A conversation that cannot go on now, and why; another call goes on with it."""

    problem_id: str
    sample: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Event:
    """What happened to a conversation: an entry, or an error; without a key, to the model."""

    key: Key | None
    entry: Line | None = None
    error: BaseException | None = None
    is_work: bool = False
    """A thread of the pool is free again."""


class Driver:
    """Drives the conversations of one run."""

    def __init__(
        self,
        conversations: Iterable[Conversation],
        work: Callable[[Conversation, Next], Line],
        write: Callable[[Entry], object],
        workers: int,
        spending: Spending | None = None,
    ) -> None:
        """`work` does what a conversation needs of the sandbox; `write` appends to the journal.

        `work` is called from `workers` threads, `write` from any thread. `spending` is what may be
        spent; None: as much as it takes.
        """
        self._open = {item.key: item for item in conversations}
        self._work, self._write = work, write
        self._pool = ThreadPoolExecutor(max(1, workers), thread_name_prefix="conversation")
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._working = 0
        self._asking: dict[Key, Conversation] = {}
        self._received: dict[Key, int] = {}
        """The step of the last answer to each: a second one is no answer to anything."""
        self._ask: Callable[[Conversation], object] = self._wait_for_round
        self._spending = spending
        self._most_tokens = 0
        self._flying: set[Key] = set()
        """Asked for, and not answered yet."""
        self._held: list[Conversation] = []
        """What the budget does not admit now."""

    def drive(
        self, model: Model, parameters: SamplingParameters
    ) -> Generator[Conversation | Stopped]:
        """Yield each conversation when it is finished, or why it is not.

        Raises what the model raises, and the errors of `work` and `write` except `SandboxError`.
        """
        self._most_tokens = parameters.max_tokens
        try:
            if isinstance(model, FollowingModel):
                yield from self._follow(model, parameters)
            else:
                yield from self._rounds(model, parameters)
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)
            if self._spending is not None:
                self._spending.release()

    def _follow(
        self, model: FollowingModel, parameters: SamplingParameters
    ) -> Generator[Conversation | Stopped]:
        feed: Feed[Request] = Feed()
        self._ask = lambda conversation: feed.put(conversation.request())
        pump = threading.Thread(
            target=self._pump, args=(model.follow(feed, parameters),), name="answers", daemon=True
        )
        pump.start()
        try:
            for conversation in list(self._open.values()):
                yield from self._advance(conversation)
            yield from self._admit_held()
            while self._open:
                yield from self._handle(self._events.get())
        finally:
            if self._open:
                feed.cancel()
            else:
                feed.close()
            pump.join(_JOIN_S)

    def _pump(self, stream: Iterator[Completion]) -> None:
        error: BaseException | None = None
        try:
            for completion in stream:
                self._receive(completion)
        except BaseException as failure:  # noqa: BLE001 - raised by the thread that drives
            error = failure
        self._events.put(_Event(None, error=error))

    def _rounds(
        self, model: Model, parameters: SamplingParameters
    ) -> Generator[Conversation | Stopped]:
        for conversation in list(self._open.values()):
            yield from self._advance(conversation)
        yield from self._admit_held()
        while self._open:
            while self._working:
                yield from self._handle(self._events.get())
            asked, self._asking = self._asking, {}
            reason = _NO_ANSWER
            stream = model.generate(grouped(asked.values()), parameters)
            try:
                for completion in stream:
                    asked.pop((completion.problem_id, completion.sample), None)
                    self._receive(completion)
                    while not self._events.empty():
                        yield from self._handle(self._events.get())
                    if self._spending is not None and asked and self._spending.out_of_time:
                        reason = self._spending.reason
                        break
            finally:  # An engine must not go on for nobody when a full disk ends the run.
                close: Any = getattr(stream, "close", None)
                if close is not None:
                    close()
            for key in asked:
                self._flying.discard(key)
                yield from self._handle(_Event(key, error=SandboxError(reason)))

    def _wait_for_round(self, conversation: Conversation) -> None:
        self._asking[conversation.key] = conversation

    def _receive(self, completion: Completion) -> None:
        """Write an answer down and announce it; a sample that nobody asked for is dropped."""
        key = completion.problem_id, completion.sample
        conversation = self._open.get(key)
        if conversation is None or self._received.get(key) == conversation.step:
            return
        self._received[key] = conversation.step
        if self._spending is not None:
            self._spending.note(completion)
        if not completion.finish_reason.is_sample:
            reason = completion.detail or _NO_ANSWER
            self._events.put(_Event(key, error=SandboxError(reason)))
            return
        entry = conversation.entry(completion)
        self._write(entry)
        self._events.put(_Event(key, entry))

    def _handle(self, event: _Event) -> Iterator[Conversation | Stopped]:
        """Take an event; yields the conversations that it ends."""
        self._working -= event.is_work
        if event.key is not None and not event.is_work:
            self._flying.discard(event.key)
        yield from self._taken(event)
        yield from self._admit_held()

    def _taken(self, event: _Event) -> Iterator[Conversation | Stopped]:
        if event.key is None:
            if event.error is not None:
                raise event.error
            for key, conversation in list(self._open.items()):
                if isinstance(conversation.next, Ask):
                    del self._open[key]
                    yield Stopped(*key, _NO_ANSWER)
            return
        if event.error is not None:
            if not isinstance(event.error, SandboxError):
                raise event.error
            if self._open.pop(event.key, None) is not None:
                yield Stopped(*event.key, str(event.error))
            return
        if (known := self._open.get(event.key)) is not None and event.entry is not None:
            known.apply(event.entry)
            yield from self._advance(known)

    def _advance(self, conversation: Conversation) -> Iterator[Conversation | Stopped]:
        """Begin what comes next; yields a conversation that is finished."""
        match conversation.next:
            case Done():
                del self._open[conversation.key]
                yield conversation
            case Ask():
                self._held.append(conversation)
                self._ask_what_is_admitted()
            case step:
                self._working += 1
                self._pool.submit(partial(self._do, conversation, step))

    def _ask_what_is_admitted(self) -> None:
        held, self._held = self._held, []
        for conversation in held:
            if conversation.key not in self._open:
                continue
            if self._admits(conversation):
                self._flying.add(conversation.key)
                self._ask(conversation)
            else:
                self._held.append(conversation)

    def _admits(self, conversation: Conversation) -> bool:
        if self._spending is None:
            return True
        request = conversation.request()
        estimate = estimate_tokens(request.prompt, request.tools)
        return self._spending.admit(estimate, self._most_tokens, conversation.key)

    def _admit_held(self) -> Iterator[Stopped]:
        """Ask what the budget admits by now; yields what it will never admit."""
        if not self._held:
            return
        self._ask_what_is_admitted()
        if self._flying or self._working or self._spending is None:
            return
        for conversation in self._held:
            if self._open.pop(conversation.key, None) is not None:
                yield Stopped(*conversation.key, self._spending.reason)
        self._held = []

    def _do(self, conversation: Conversation, step: Next) -> None:
        """Do a piece of work in a thread of the pool; what came of it is written down here."""
        try:
            entry = self._work(conversation, step)
            self._write(entry)
            event = _Event(conversation.key, entry, is_work=True)
        except BaseException as error:  # noqa: BLE001 - raised by the thread that drives
            event = _Event(conversation.key, error=error, is_work=True)
        self._events.put(event)


def grouped(conversations: Iterable[Conversation]) -> list[Request]:
    """Return the requests of a round; samples of one prompt share a request, as in a single turn.

    Engines compute what the samples of a request share once.
    """
    found: dict[Any, Request] = {}
    for conversation in conversations:
        request = conversation.request()
        key = request.problem_id, request.prompt, tuple(tool.name for tool in request.tools)
        known = found.get(key)
        if known is not None:
            request = replace(
                known,
                samples=known.samples + request.samples,
                seeds=known.seeds + request.seeds,
            )
        found[key] = request
    return list(found.values())
