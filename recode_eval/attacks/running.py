"""Running attacks, an honest program after each, and grading what happened."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import time
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from recode_eval.attacks.bait import Bait
from recode_eval.attacks.catalog import Expect, honest_program
from recode_eval.attacks.dialects import dialect_of
from recode_eval.attacks.traces import descendants, settled_descendants
from recode_eval.errors import UsageError
from recode_eval.languages import get_language
from recode_eval.sandbox.base import Execution, Limits, Program, SandboxError, Status, Test
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from recode_eval.attacks.catalog import Attack
    from recode_eval.attacks.dialects import Honest
    from recode_eval.sandbox.base import Sandbox

ATTACK_LIMITS = Limits(
    cpu_s=1.0,
    wall_s=2.0,
    memory_bytes=256 << 20,
    output_bytes=64 << 10,
    file_bytes=16 << 20,
    processes=16,
)
"""Short, so that what hangs is over soon."""
VICTIM_LIMITS = Limits(cpu_s=20.0, wall_s=60.0, memory_bytes=1 << 30, processes=32)
_ANSWER_S = 300.0
_STRAYS_S = 3.0
_ESCAPED = re.compile(r"^ESCAPED: (.*)$", re.MULTILINE)


class AttackOutcome(StrEnum):
    """Outcome of an attack. Only `CONTAINED` is good."""

    CONTAINED = "contained"
    FORGED = "forged"
    """A test that cannot be passed honestly came out as passed, or the data got the blame."""
    LEAKED = "leaked"
    """The attack reached something outside, or left something on this machine."""
    UNFLAGGED = "not flagged"
    """It cannot be prevented, and the code was not flagged as suspicious either."""
    VICTIM_DIRTY = "victim dirty"
    """The next program did not find the world that a first program finds."""
    NEIGHBOUR_HURT = "neighbour hurt"
    """An honest program on another worker, at the same time, was disturbed."""
    INFRASTRUCTURE = "infrastructure error"
    """A program could not be graded: an attack must not be able to make itself unscored."""
    MISTAKE = "mistake in the attack"
    """The attack stopped at an error of its own, so it shows nothing."""


@dataclass(frozen=True, slots=True)
class AttackResult:
    """How one attack ended in one sandbox."""

    attack: Attack
    outcome: AttackOutcome
    explanation: str
    """What happened, in one line; the report of the attack's tests, if it was contained."""
    seconds: float

    @property
    def contained(self) -> bool:
        """True if the sandbox withstood the attack."""
        return self.outcome is AttackOutcome.CONTAINED


class _Failure(Exception):  # noqa: N818 - control flow, not an error
    def __init__(self, outcome: AttackOutcome, explanation: str) -> None:
        super().__init__(explanation)
        self.outcome = outcome
        self.explanation = explanation


def run_attacks(
    sandbox: Sandbox,
    attacks: Sequence[Attack],
    limits: Limits = ATTACK_LIMITS,
    on_done: Callable[[AttackResult], None] | None = None,
    *,
    neighbour: Sandbox | None = None,
    bait: Bait | None = None,
    suspicion: Callable[[str], Sequence[str]] | None = None,
    users: set[int] | None = None,
    reopen: Callable[[], Sandbox] | None = None,
) -> list[AttackResult]:
    """Run each attack, then a victim on the same worker; the results are in the attacks' order.

    Args:
        sandbox: must have one worker, so that the victim runs where the attack ran.
        attacks: what to run; one after the other.
        limits: limits of the attacks; short ones keep the test short.
        on_done: is called with each result.
        neighbour: another sandbox of the same tier, in which honest programs run meanwhile.
        bait: made before the sandbox was opened; without one, the evaluator's environment
            variable is set too late to find out whether programs see it.
        suspicion: tells the reasons to flag a source; what the attack's language says by default.
        users: gets the user ids that programs had.
        reopen: opens sandboxes to go on with after an attack that was not contained; without it,
            what one attack leaves may be found again after the next ones.

    Raises:
        UsageError: the sandbox gives no protection (`none`), or has several workers.
        SandboxError: an honest program does not even run before the first attack.
    """
    if sandbox.info.tier == "none":
        raise UsageError("attacks are never run without a sandbox: choose a tier that protects")
    if sandbox.info.workers != 1:
        raise UsageError(
            "attacks need a sandbox with one worker: each victim must follow its attack"
        )
    with contextlib.ExitStack() as stack:
        runner = _Runner(
            sandbox,
            limits,
            neighbour,
            bait or stack.enter_context(Bait()),
            suspicion,
            users if users is not None else set(),
        )
        results = []
        for attack in attacks:
            results.append(runner.run(attack))
            if on_done is not None:
                on_done(results[-1])
            if reopen is not None and not results[-1].contained:
                sandbox.close()
                sandbox = stack.enter_context(reopen())
                if neighbour is not None:
                    neighbour.close()
                    neighbour = stack.enter_context(reopen())
                runner.go_on_with(sandbox, neighbour)
        return results


class _World(NamedTuple):
    """What decides how clean an honest program finds the world."""

    language: str
    """The attacks'."""
    honest: Honest
    libraries: tuple[str, ...]
    """Loaded before it starts."""


class _Runner:
    """One sandbox and what is known about its clean state."""

    def __init__(
        self,
        sandbox: Sandbox,
        limits: Limits,
        neighbour: Sandbox | None,
        bait: Bait,
        suspicion: Callable[[str], Sequence[str]] | None,
        users: set[int],
    ) -> None:
        self._sandbox = sandbox
        self._limits = limits
        self._neighbour = neighbour
        self._bait = bait
        self._suspicion = suspicion
        self._users = users
        self._worlds: dict[_World, dict[str, Any]] = {}
        self._processes = 0
        self._attacked = False

    def go_on_with(self, sandbox: Sandbox, neighbour: Sandbox | None) -> None:
        """Use other sandboxes, about whose clean state nothing is known."""
        self._sandbox = sandbox
        self._neighbour = neighbour
        self._worlds.clear()
        self._processes = 0

    def run(self, attack: Attack) -> AttackResult:
        """Run one attack and everything that belongs to it."""
        program = self._program(attack)
        honest = dialect_of(attack.language).honest
        world = _World(attack.language, honest, tuple(honest.libraries(program)))
        started = time.monotonic()
        try:
            self._know_clean_world(world)
            outcome = AttackOutcome.CONTAINED
            explanation = self._attack(attack, program, world)
        except _Failure as failure:
            outcome, explanation = failure.outcome, failure.explanation
        return AttackResult(attack, outcome, one_line(explanation), time.monotonic() - started)

    def _know_clean_world(self, world: _World) -> None:
        """Learn what an honest program sees while nothing has happened to its process yet."""
        if world in self._worlds:
            return
        try:
            if world.language != world.honest.language:  # its runtime stays, once it was needed
                nothing = Program("", "", (), language=world.language)
                _result(self._sandbox.submit(nothing, VICTIM_LIMITS), "an empty program")
            self._worlds[world] = self._examine(world)
            self._check_bystander(self._submit_bystander(world.honest))
        except _Failure as failure:
            told = f"an honest program fails before the attack: {failure.explanation}"
            if self._attacked:
                raise _Failure(AttackOutcome.INFRASTRUCTURE, told) from None
            raise SandboxError(told) from None
        self._processes = max(self._processes, settled_descendants())

    def _attack(self, attack: Attack, program: Program, world: _World) -> str:
        """Return the report of the tests; raises `_Failure` at the first fault."""
        self._attacked = True
        bystander = self._submit_bystander(world.honest)
        future = self._sandbox.submit(program, self._limits)
        failures: list[_Failure] = []
        execution = None
        try:
            execution = _result(future, "the attack")
            self._grade(attack, execution)
        except _Failure as failure:
            failures.append(failure)
        checks: list[Callable[[], None]] = [
            partial(self._check_world, world),
            partial(self._check_bystander, bystander),
            self._check_bait,
            self._check_strays,
        ]
        for check in checks:
            try:
                check()
            except _Failure as failure:
                failures.append(failure)
        if failures:
            raise _Failure(failures[0].outcome, "; ".join(f.explanation for f in failures))
        assert execution is not None
        return ", ".join(f"{v.status} {v.detail}".strip() for v in execution.verdicts)

    def _program(self, attack: Attack) -> Program:
        """The attack, with tests for which it would have to know random numbers."""
        one, two, three = (10**12 + secrets.randbelow(10**12) for _ in range(3))
        dialect = dialect_of(attack.language)
        return Program(
            dialect.setup(self._bait.module()),
            attack.code,
            dialect.tests(one, two, three),
            language=attack.language,
        )

    def _flags(self, attack: Attack) -> Sequence[str]:
        if self._suspicion is not None:
            return self._suspicion(attack.code)
        return get_language(attack.language).tamper_flags(attack.code)

    def _grade(self, attack: Attack, execution: Execution) -> None:
        if escapes := _ESCAPED.findall(execution.output):
            raise _Failure(AttackOutcome.LEAKED, "; ".join(dict.fromkeys(escapes)))
        if execution.setup_error is not None:
            raise _Failure(
                AttackOutcome.FORGED, f"the sandbox blamed the data: {execution.setup_error}"
            )
        # What is no program on purpose may end as such.
        sound = get_language(attack.language).parses(attack.code)
        for verdict in execution.verdicts if sound else ():
            if dialect_of(attack.language).mistakes.match(verdict.detail):
                raise _Failure(AttackOutcome.MISTAKE, verdict.detail)
        passed = [v.name for v in execution.verdicts if v.status is Status.PASSED]
        if attack.expect is Expect.FLAGGED:
            split = self._sandbox.info.isolation == "split" and not execution.unsplit
            flagged = self._flags(attack) or execution.unsplit_by_answer
            if not flagged and (passed or not split):
                ending = f"passed {', '.join(passed)}" if passed else "passed no test"
                raise _Failure(AttackOutcome.UNFLAGGED, f"the code raised no flag; it {ending}")
        elif attack.expect is Expect.NOT_PASSED and passed:
            raise _Failure(
                AttackOutcome.FORGED, f"passed without knowing the answer: {', '.join(passed)}"
            )

    def _check_world(self, world: _World) -> None:
        changes = _differences(self._worlds[world], self._examine(world))
        if changes:
            raise _Failure(
                AttackOutcome.VICTIM_DIRTY, f"the next program saw a change: {'; '.join(changes)}"
            )

    def _examine(self, known: _World) -> dict[str, Any]:
        """Run the victim; return the state of the world that it describes."""
        word = secrets.token_hex(8)
        honest = known.honest
        program = Program(
            honest.imports(known.libraries),
            honest_program("victim", honest.suffix),
            (Test("clean", honest.clean(word)), Test("false", honest.false)),
            frozenset(known.libraries),
            language=honest.language,
        )
        alike = replace(self._limits, wall_s=VICTIM_LIMITS.wall_s)
        limits = alike if honest.limited_alike else VICTIM_LIMITS
        execution = _result(self._sandbox.submit(program, limits), "the next program")
        if execution.setup_error is not None:
            raise _Failure(
                AttackOutcome.VICTIM_DIRTY, f"the next set-up failed: {execution.setup_error}"
            )
        clean, false = execution.verdicts
        if clean.status is not Status.PASSED:
            raise _Failure(
                AttackOutcome.VICTIM_DIRTY, f"the next program {clean.status}: {clean.detail}"
            )
        if false.status is not Status.FAILED:
            raise _Failure(
                AttackOutcome.VICTIM_DIRTY,
                f"the next program's wrong answer {false.status}: {false.detail}",
            )
        head, found, description = execution.output.partition(word)
        if head or not found or description.count("\n") != 1:
            raise _Failure(
                AttackOutcome.VICTIM_DIRTY,
                f"the next program's output was touched: {execution.output!r}",
            )
        world: dict[str, Any] = json.loads(description)
        self._users.add(int(world["user"]))
        return world

    def _submit_bystander(self, honest: Honest) -> Future[Execution] | None:
        if self._neighbour is None:
            return None
        source = honest_program("bystander", honest.suffix)
        tests = (Test("undisturbed", honest.undisturbed),)
        program = Program("", source, tests, language=honest.language)
        return self._neighbour.submit(program, VICTIM_LIMITS)

    def _check_bystander(self, future: Future[Execution] | None) -> None:
        if future is None:
            return
        execution = _result(future, "a program on another worker")
        if execution.setup_error is not None or not execution.passed:
            details = [v.detail for v in execution.verdicts] or [str(execution.setup_error)]
            raise _Failure(
                AttackOutcome.NEIGHBOUR_HURT,
                f"a program on another worker was disturbed: {details[0]}",
            )

    def _check_bait(self) -> None:
        if touched := self._bait.touched():
            raise _Failure(AttackOutcome.LEAKED, "; ".join(dict.fromkeys(touched)))

    def _check_strays(self) -> None:
        """No more processes below this one than there were when all was clean."""
        deadline = time.monotonic() + _STRAYS_S
        while (count := len(descendants())) > self._processes:
            if time.monotonic() > deadline:
                extra = count - self._processes
                self._processes = count
                raise _Failure(AttackOutcome.LEAKED, f"{extra} processes were left running")
            time.sleep(0.02)


def _differences(clean: Any, world: Any, path: str = "") -> list[str]:
    """Where two JSON values differ; a line for each place."""
    if isinstance(clean, dict) and isinstance(world, dict):
        keys: list[Any] = sorted(clean.keys() | world.keys())
        pairs = [(key, clean.get(key), world.get(key)) for key in keys]
    elif isinstance(clean, list) and isinstance(world, list) and len(clean) == len(world):
        pairs = [(i, clean[i], world[i]) for i in range(len(clean))]
    else:
        same = clean == world
        shown = f"{path} was {json.dumps(clean)[:200]}, is {json.dumps(world)[:200]}"
        return [] if same else [shown]
    return [line for key, a, b in pairs for line in _differences(a, b, f"{path}/{key}".lstrip("/"))]


def _result(future: Future[Execution], who: str) -> Execution:
    try:
        return future.result(_ANSWER_S)
    except SandboxError as error:
        raise _Failure(
            AttackOutcome.INFRASTRUCTURE, f"{who} could not be graded: {error}"
        ) from None
    except FutureTimeoutError:
        raise _Failure(
            AttackOutcome.INFRASTRUCTURE, f"no answer about {who} within {_ANSWER_S:g} s"
        ) from None
