"""A run whose samples are conversations: their resumption, and the records they end in.

The journal lies in the run's folder (`turns.jsonl`). The last answer of a conversation is stored as
the sample's completion and graded as any other, by all tests.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from recode_eval.conversations import journal
from recode_eval.conversations.conversation import Check, Conversation, OutOfOrderError, Use
from recode_eval.conversations.driving import Driver, Stopped
from recode_eval.conversations.executing import Bench
from recode_eval.conversations.feedback import Feedback
from recode_eval.conversations.journal import Answered, Checked, ToolUsed, read_journal
from recode_eval.conversations.searching import open_index
from recode_eval.conversations.tools import Toolbox
from recode_eval.errors import DataError
from recode_eval.models.sampling import stops_without_prefill
from recode_eval.run.grading import Unscored
from recode_eval.run.records import CompletionRecord
from recode_eval.run.settings import sample_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from pathlib import Path

    from recode_eval.conversations.conversation import Next
    from recode_eval.conversations.journal import Line
    from recode_eval.conversations.settings import ConversationSettings
    from recode_eval.costs.spending import Spending
    from recode_eval.models.base import Model, Prompt, SamplingParameters
    from recode_eval.run.calibration import LimitBook
    from recode_eval.run.records import Key
    from recode_eval.run.store import RunStore
    from recode_eval.sandbox.base import Sandbox
    from recode_eval.tasks.base import Problem, Task


class Conversing:
    """The conversations of one run."""

    def __init__(
        self,
        task: Task,
        problems: Sequence[Problem],
        prompts: Mapping[str, Prompt],
        hashes: Mapping[str, str],
        sampling: SamplingParameters,
        settings: ConversationSettings,
    ) -> None:
        """`prompts` and their `hashes` are by problem, as in `Generation`."""
        self._task, self._problems = task, {problem.id: problem for problem in problems}
        self._prompts, self._hashes = prompts, hashes
        self._sampling, self._settings = sampling, settings

    def records(
        self,
        model: Model,
        missing: Sequence[Key],
        on_unscored: Callable[[Unscored], None],
        store: RunStore,
        sandbox: Sandbox,
        limits: LimitBook,
        spending: Spending | None = None,
    ) -> Generator[CompletionRecord]:
        """Yield the record of each conversation that ends; report those that cannot go on.

        `spending` is what may be spent; None: as much as it takes.
        """
        bench = Bench(self._task, sandbox, limits.limits, limits.unsplit)
        feedback = Feedback(self._task, bench)
        own = self._settings
        searcher = None if own.docs is None else open_index(own.docs, own.docs_hash)
        toolbox = Toolbox(self._settings.tools, self._task, bench, searcher)

        def work(conversation: Conversation, step: Next) -> Line:
            problem = self._problems[conversation.problem_id]
            return _worked(conversation, step, problem, feedback, toolbox)

        conversations = self._resumed(missing, store.folder / journal.FILE, toolbox)
        turns = store.turns()
        driver = Driver(
            conversations,
            work,
            lambda entry: turns.append(journal.to_line(entry)),
            workers=2 * sandbox.info.workers,
            spending=spending,
        )
        with contextlib.closing(driver.drive(model, self._parameters(missing))) as stream:
            for ended in stream:
                if isinstance(ended, Stopped):
                    on_unscored(Unscored(ended.problem_id, ended.sample, ended.reason))
                else:
                    yield self._record(ended)

    def _parameters(self, missing: Iterable[Key]) -> SamplingParameters:
        """Return the sampling; with tools no prefill is sent, nor the stops that belong to it."""
        prefills = {self._prompts[problem_id].prefill for problem_id, _ in missing}
        stops = self._sampling.stop
        if self._settings.tools:
            for prefill in prefills:
                stops = tuple(stops_without_prefill(stops, prefill))
        return replace(self._sampling, stop=stops)

    def _resumed(self, missing: Sequence[Key], path: Path, toolbox: Toolbox) -> list[Conversation]:
        """Return the conversations where their journal leaves them; raises `DataError`."""
        wanted = set(missing)
        lines: dict[Key, list[Line]] = defaultdict(list)
        for line in read_journal(path):
            if line.key in wanted and line.prompt_hash == self._hashes[line.problem_id]:
                lines[line.key].append(line)
        found = []
        for key in missing:
            conversation = self._begin(key, toolbox)
            for line in lines.pop(key, ()):
                try:
                    conversation.apply(line)
                except OutOfOrderError as error:
                    raise DataError(
                        f"{path}: the lines of {key[0]}, sample {key[1]} do not follow one "
                        "another. Delete them; the same command then asks for that sample again."
                    ) from error
            found.append(conversation)
        return found

    def _begin(self, key: Key, toolbox: Toolbox) -> Conversation:
        problem_id, sample = key
        return Conversation(
            problem_id,
            sample,
            sample_seed(self._sampling.seed, problem_id, sample),
            self._prompts[problem_id],
            self._hashes[problem_id],
            self._settings,
            toolbox.tools,
            self._task.spec.language,
        )

    def _record(self, conversation: Conversation) -> CompletionRecord:
        """Return what is stored of a finished conversation: its last answer, and sums."""
        answers = conversation.answers
        last = answers[-1]
        seconds = _sum(answer.seconds for answer in answers)
        return CompletionRecord(
            problem_id=conversation.problem_id,
            sample=conversation.sample,
            seed=answers[0].seed,
            prompt_hash=conversation.prompt_hash,
            text=last.text,
            finish_reason=last.finish_reason,
            prompt_tokens=_sum(answer.prompt_tokens for answer in answers),
            completion_tokens=_sum(answer.completion_tokens for answer in answers),
            seconds=None if seconds is None else round(seconds, 4),
            prefill=last.prefill,
            is_code=last.is_code,
            reasoning_tokens=_sum(answer.reasoning_tokens for answer in answers),
            cached_tokens=_sum(answer.cached_tokens for answer in answers),
            batched=last.batched,
            turns=conversation.turn,
            tool_calls=conversation.calls,
        )


def _sum(values: Iterable[Any]) -> Any:
    """Return the sum of the values that are known; None if none is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _worked(
    conversation: Conversation,
    step: Next,
    problem: Problem,
    feedback: Feedback,
    toolbox: Toolbox,
) -> Line:
    """Do what a conversation needs of the sandbox; raises `SandboxError`."""
    place: dict[str, Any] = {
        "problem_id": conversation.problem_id,
        "sample": conversation.sample,
        "prompt_hash": conversation.prompt_hash,
        "step": conversation.step,
    }
    match step:
        case Check(answer):
            ends, text = feedback.on(problem, answer)
            return Checked(**place, ends=ends, text=text)
        case Use(call, index):
            status, text, seconds = toolbox.use(problem, step)
            return ToolUsed(
                **place, index=index, name=call.name, status=status, text=text, seconds=seconds
            )
    raise AssertionError(f"{step} is no work")


def turn_figures(
    path: Path, completions: Mapping[Key, CompletionRecord], *, tools: bool
) -> dict[str, Any]:
    """Return `turns` and `tools` of results.json, from the journal of finished conversations.

    `turns` has an entry per turn: how many samples came to it, and the tokens they took there.
    """
    hashes: dict[str, str] = {}
    steps: set[tuple[str, int, int]] = set()
    turns: dict[int, dict[str, Any]] = {}
    reached: dict[int, set[Key]] = defaultdict(set)
    used = {"calls": 0, "malformed": 0, "budget_ended": 0}
    ended: set[Key] = set()
    for line in read_journal(path):
        if line.key not in completions:
            continue
        known = hashes.setdefault(line.problem_id, completions[line.key].prompt_hash)
        if line.prompt_hash != known:
            continue
        if isinstance(line, ToolUsed):
            used["calls"] += line.status != "refused"
            used["malformed"] += line.status == "malformed"
        elif isinstance(line, Answered) and (*line.key, line.step) not in steps:
            steps.add((*line.key, line.step))
            reached[line.turn].add(line.key)
            if tools and not line.offered:
                ended.add(line.key)
            _add(turns.setdefault(line.turn, {}), line)
    used["budget_ended"] = len(ended)
    return {
        "turns": [
            {
                "turn": turn,
                "samples": len(reached[turn]),
                "prompt_tokens": sums.get("prompt_tokens"),
                "completion_tokens": sums.get("completion_tokens"),
            }
            for turn, sums in sorted(turns.items())
        ],
        "tools": used if tools else None,
    }


def _add(sums: dict[str, Any], answer: Answered) -> None:
    for name in ("prompt_tokens", "completion_tokens"):
        value = getattr(answer, name)
        if value is not None:
            sums[name] = sums.get(name, 0) + value
