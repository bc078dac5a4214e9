"""From a stored completion to a score: extraction, similarity, and the sandbox's verdicts.

A `Grader` runs beside the generation. Completions are submitted from one thread; when the sandbox
has spoken, a recorder thread builds the `ScoreRecord` and hands it on. The same code for the same
problem is executed once. What the sandbox could not grade is reported as unscored, never as failed.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections import OrderedDict
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from recode_eval.languages import get_language
from recode_eval.run.records import CompletionRecord, ScoreRecord
from recode_eval.sandbox.base import SandboxError, Status
from recode_eval.scoring.similarity import similarity_scores
from recode_eval.tasks.answers import find_code
from recode_eval.tasks.base import Measuring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

    from recode_eval.sandbox.base import Execution, Limits, Sandbox
    from recode_eval.scoring.extraction import Extraction
    from recode_eval.tasks.base import Problem, Task

SCORING_VERSION = 2
"""Raised whenever extraction, similarity or execution change what a stored completion scores."""

_MAX_PENDING = 4096
_MAX_REMEMBERED = 20_000
_KEPT_OUTPUT = 4_000
"""Characters of a program's output that a record keeps: the sandbox hands over 64 KiB of each, and
a large run of answers that print a lot would be gigabytes of them."""


@dataclass(frozen=True, slots=True)
class Unscored:
    """A sample that could not be graded, and why."""

    problem_id: str
    sample: int
    reason: str
    flags: tuple[str, ...] = ()
    """Reasons to distrust its code: an answer that is lost each time may well want that."""


@dataclass(slots=True)
class _Job:
    """One piece of code for one problem: its executions, and the samples that wait for them."""

    problem: Problem
    waiting: list[tuple[CompletionRecord, Extraction]]
    missing: int = 1
    """Executions to come, plus one while they are being submitted."""
    futures: list[Future[Execution]] = field(default_factory=list)
    executions: dict[str, Execution] = field(default_factory=dict)
    error: BaseException | None = None
    graded: dict[str, Any] | None = None
    """The fields of a `ScoreRecord` that all samples with this code share."""

    @property
    def done(self) -> bool:
        return self.missing == 0


class Grader:
    """Grades completions with one sandbox; `finish` waits for all of them."""

    def __init__(
        self,
        task: Task,
        sandbox: Sandbox,
        limits: Callable[[str], Limits],
        scoring: str,
        *,
        unsplit: Callable[[str], str] = lambda _: "",
        on_score: Callable[[ScoreRecord], None],
        on_unscored: Callable[[Unscored], None],
    ) -> None:
        """Start the recorder thread; the callbacks are called from it, one at a time.

        `limits` gives the limits of a problem by its id, and `unsplit` why its tests cannot run in
        another process than an answer (empty: they can).
        """
        self._task = task
        self._language = get_language(task.spec.language)
        self._measuring = task if isinstance(task, Measuring) else None
        self._sandbox = sandbox
        self._limits = limits
        self._scoring = scoring
        self._unsplit = unsplit
        self._on_score = on_score
        self._on_unscored = on_unscored
        self._lock = threading.Lock()
        self._jobs: OrderedDict[tuple[str, str], _Job] = OrderedDict()
        self._ready: queue.SimpleQueue[tuple[_Job, CompletionRecord, Extraction] | None] = (
            queue.SimpleQueue()
        )
        self._slots = threading.Semaphore(_MAX_PENDING)
        self._failure: BaseException | None = None
        self._recorder = threading.Thread(target=self._record, name="recorder", daemon=True)
        self._recorder.start()

    def submit(self, problem: Problem, completion: CompletionRecord) -> None:
        """Take a completion; blocks while too many wait. Raises what stopped the recorder."""
        while not self._slots.acquire(timeout=0.5):
            self._check()
        self._check()
        extraction = self._extract(problem, completion)
        key = (problem.id, _code_key(extraction.code))
        with self._lock:
            job = self._jobs.get(key)
            if job is not None and not job.done:
                job.waiting.append((completion, extraction))
                return
            known = job is not None and job.error is None
            if job is None or not known:
                job = self._start(key, problem)
                job.waiting.append((completion, extraction))
        if known:
            self._ready.put((job, completion, extraction))
        else:
            self._execute(job, extraction.code)

    def _extract(self, problem: Problem, completion: CompletionRecord) -> Extraction:
        return find_code(
            self._task,
            problem,
            completion.text,
            prefill=completion.prefill,
            is_code=completion.is_code,
        )

    def _start(self, key: tuple[str, str], problem: Problem) -> _Job:
        job = self._jobs[key] = _Job(problem, [])
        while len(self._jobs) > _MAX_REMEMBERED and next(iter(self._jobs.values())).done:
            self._jobs.popitem(last=False)
        return job

    def _execute(self, job: _Job, code: str | None) -> None:
        """Submit the job's programs; each one's end is counted down in `_executed`."""
        programs = {} if code is None else dict(self._task.programs(job.problem, code))
        limits, unsplit = self._limits(job.problem.id), self._unsplit(job.problem.id)
        with self._lock:
            job.missing += len(programs)
        for condition, program in programs.items():
            try:
                future = self._sandbox.submit(replace(program, unsplit=unsplit), limits)
            except SandboxError as error:
                self._count_down(job, error=error)
            else:
                job.futures.append(future)
                future.add_done_callback(partial(self._executed, job, condition))
        self._count_down(job)

    def _executed(self, job: _Job, condition: str, future: Future[Execution]) -> None:
        if future.cancelled():
            self._count_down(job, error=SandboxError("The run was stopped."))
        elif (error := future.exception()) is not None:
            self._count_down(job, error=error)
        else:
            self._count_down(job, executed=(condition, future.result()))

    def _count_down(
        self,
        job: _Job,
        *,
        executed: tuple[str, Execution] | None = None,
        error: BaseException | None = None,
    ) -> None:
        with self._lock:
            if executed is not None:
                job.executions[executed[0]] = executed[1]
            job.error = job.error or error
            job.missing -= 1
            waiting = list(job.waiting) if job.done else []
            if job.done:
                job.waiting.clear()
                job.futures.clear()
        for completion, extraction in waiting:
            self._ready.put((job, completion, extraction))

    def _record(self) -> None:
        while (item := self._ready.get()) is not None:
            job, completion, extraction = item
            try:
                if self._failure is None:
                    self._deliver(job, completion, extraction)
            except BaseException as error:  # noqa: BLE001 - handed to the submitting thread
                self._failure = error
            finally:
                self._slots.release()

    def _deliver(self, job: _Job, completion: CompletionRecord, extraction: Extraction) -> None:
        if job.error is not None:
            if not isinstance(job.error, SandboxError):
                raise job.error
            flags = tuple(self._language.tamper_flags(extraction.code))
            self._on_unscored(
                Unscored(completion.problem_id, completion.sample, str(job.error), flags)
            )
            return
        self._on_score(self._score(job, completion, extraction))

    def _score(
        self, job: _Job, completion: CompletionRecord, extraction: Extraction
    ) -> ScoreRecord:
        if job.graded is None:
            job.graded = self._graded(job, extraction.code)
            job.executions.clear()
        return ScoreRecord(
            problem_id=completion.problem_id,
            sample=completion.sample,
            prompt_hash=completion.prompt_hash,
            completion=completion.digest,
            scoring=self._scoring,
            tier=self._sandbox.info.tier,
            extraction=str(extraction.method),
            extraction_detail=extraction.detail,
            **job.graded,
        )

    def _graded(self, job: _Job, code: str | None) -> dict[str, Any]:
        # Extraction strips the end of an answer; the reference is compared the same way.
        reference = job.problem.solutions["reference"].rstrip()
        setup_errors = [e.setup_error for e in job.executions.values() if e.setup_error]
        return {
            "code": code,
            "similarity": asdict(similarity_scores(code, reference, self._language.name)),
            "conditions": {
                name: condition_record(job.executions[name])
                for name in self._task.conditions
                if name in job.executions
            },
            "cpu_limit_s": self._limits(job.problem.id).cpu_s,
            "setup_error": setup_errors[0] if setup_errors else None,
            "measures": self._measures(job.problem, code),
            "flags": [
                *self._language.tamper_flags(code),
                *_seen_tampering(job.executions.values()),
                *_unsplit_flags(job.executions.values()),
            ],
        }

    def _measures(self, problem: Problem, code: str | None) -> dict[str, float]:
        return {} if self._measuring is None else dict(self._measuring.measures(problem, code))

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def finish(self) -> None:
        """Wait until everything submitted is recorded; raises what stopped the recorder."""
        for _ in range(_MAX_PENDING):
            while not self._slots.acquire(timeout=0.5):
                self._check()
        self._ready.put(None)
        self._recorder.join()
        self._check()

    def abandon(self) -> None:
        """Stop recording without waiting; the next run grades unrecorded samples."""
        self._failure = self._failure or SandboxError("The run was stopped.")
        with self._lock:
            futures = [future for job in self._jobs.values() for future in job.futures]
        for future in futures:  # The sandbox may outlive this run: it need not work through them.
            future.cancel()
        self._ready.put(None)


def _seen_tampering(executions: Iterable[Execution]) -> list[str]:
    """Return what the sandbox says of passed tests: what the answer had replaced by then."""
    verdicts = (v for execution in executions for v in execution.verdicts)
    return sorted({v.detail for v in verdicts if v.status is Status.PASSED and v.detail})


def _unsplit_flags(executions: Iterable[Execution]) -> list[str]:
    """Return why a passing answer ran in one process with its tests, where the reference does not.

    What it gave to the tests was its own choice, and in one process it can reach them.
    """
    reasons = {e.unsplit for e in executions if e.unsplit_by_answer and e.passed}
    return sorted(f"ran in one process with its tests: {reason}" for reason in reasons)


def condition_record(execution: Execution) -> dict[str, Any]:
    """Return the stored form of an execution (see `ScoreRecord.conditions`)."""
    lines = {v.name: v.line for v in execution.verdicts if v.line is not None}
    return {
        "passed": execution.passed,
        "tests": [[v.name, str(v.status), v.detail] for v in execution.verdicts],
        **({"lines": lines} if lines else {}),
        "output": execution.output[-_KEPT_OUTPUT:],
        "cpu_s": round(execution.cpu_s, 4),
        **({"unsplit": execution.unsplit} if execution.unsplit else {}),
    }


def _code_key(code: str | None) -> str:
    if code is None:
        return ""
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()
