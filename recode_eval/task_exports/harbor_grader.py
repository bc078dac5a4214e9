"""Grade one answer inside the verifier's container of a harbor task; stands on its own there.

The task's image has this module and what it imports (`PARTS`), which is the standard library and
the sandbox that grades everywhere else: each answer runs under a user id of its own, apart from its
tests. The reference runs first, so that limits are those of an evaluation. A reward is written
when, and only when, the machine can grade: harbor counts a trial without a reward as an error.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import RecodeError
from recode_eval.run.calibration import Calibration, measure
from recode_eval.sandbox.base import Limits, Program, SandboxUnavailableError, Status, Test
from recode_eval.sandbox.landlock import LandlockLauncher, reason_against
from recode_eval.sandbox.pool import Pool
from recode_eval.sandbox.runtimes import PythonRuntime
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recode_eval.sandbox.base import Execution
    from recode_eval.sandbox.worker import Link

PARTS: Final = (
    "__init__.py", "checks.py", "errors.py", "lazy.py", "plugins.py",
    "resources.py", "terminal.py", "run/__init__.py", "run/calibration.py", "sandbox/__init__.py",
    "sandbox/base.py", "sandbox/buildlog.py", "sandbox/hidden.py", "sandbox/interpreters.py",
    "sandbox/landlock.py", "sandbox/local.py", "sandbox/pool.py", "sandbox/preload.py",
    "sandbox/runtimes.py", "sandbox/users.py", "sandbox/worker.py",
    "task_exports/__init__.py", "task_exports/harbor_grader.py",
)  # fmt: skip
"""The modules of the package that the container needs."""
LARGEST_ANSWER: Final = 16 << 20
"""Bytes; a longer file is no answer."""
_OUT: Final = Path("/logs/verifier")


class _UngradableError(RecodeError):
    """The container cannot grade; the message says why."""


class _ContainerLauncher(LandlockLauncher):
    """Supervisors of a container that is thrown away: with Landlock where the kernel has it.

    Without it, programs of other users see the image's files, which hold nothing of the task.
    """

    def __init__(self, python: str) -> None:
        """Raises `SandboxUnavailableError` without root's rights."""
        if os.getuid() != 0:
            raise SandboxUnavailableError("the verifier must run as root")
        self._files = reason_against() is None
        version = ".".join(map(str, sys.version_info[:3]))
        super().__init__((PythonRuntime(python, version),), unsafe=not self._files)
        self.tier = "landlock" if self._files else "docker"
        self.guarantees = ()

    def launch(self, slot: int) -> tuple[Link, dict[str, Any]]:
        """Start a supervisor that gives programs a user id of their own, or nothing."""
        link, config = super().launch(slot)
        return link, {**config, "landlock_files": self._files, "uid_required": True}


class _Row:
    """The problem, as far as grading needs it: what `measure` takes as task and as problem."""

    id = "problem"
    conditions = ("tests",)

    def __init__(self, stored: Mapping[str, Any]) -> None:
        self.solutions = {"reference": stored["reference"]}
        self._stored = stored

    def programs(self, _: object, code: str) -> dict[str, Program]:
        """Return the program of an answer."""
        tests = tuple(Test(name, text) for name, text in self._stored["tests"])
        preload = frozenset(self._stored["preload"])
        return {"tests": Program(self._stored["setup"], code, tests, preload)}


def grade(stored: Mapping[str, Any], code: str, sandbox: Pool) -> tuple[float, str]:
    """Return reward (1.0 or 0.0) and the reason of a 0.0; `stored` is the content of problem.json.

    Raises:
        RecodeError: the machine cannot grade, or the reference does not pass on it.
    """
    row: Any = _Row(stored)
    calibration = Calibration()
    measured = measure(row, [row], sandbox, Limits(), calibration)
    [reference] = row.programs(row, stored["reference"]).values()
    unsplit = measured.unsplit.get(row.id, "")
    limits = calibration.limits_of(Limits(), measured.cpu_s, row.id)
    proof = _run(sandbox, replace(reference, unsplit=unsplit), limits, stored["deadline_s"])
    if not proof.passed:
        raise _UngradableError(f"the reference solution does not pass here: {_failure(proof)}")
    [program] = row.programs(row, code).values()
    try:
        execution = _run(sandbox, replace(program, unsplit=unsplit), limits, stored["deadline_s"])
    except TimeoutError:
        return 0.0, f"no verdict in {stored['deadline_s']:g} s"
    return (1.0, "") if execution.passed else (0.0, _failure(execution))


def _run(sandbox: Pool, program: Program, limits: Limits, deadline_s: float) -> Execution:
    execution = sandbox.submit(program, limits).result(deadline_s)
    if execution.setup_error is not None:
        raise _UngradableError(f"the problem's own set-up fails: {execution.setup_error}")
    return execution


def _failure(execution: Execution) -> str:
    failed = (v for v in execution.verdicts if v.status is not Status.PASSED)
    return next((f"{v.name}: {v.status}: {v.detail}" for v in failed), "there is no test")


def read_answer(path: Path) -> str | None:
    """Return the answer's text; None if there is none that could be a program.

    Raises:
        RecodeError: its folder is not there, so that harbor did not bring it.
    """
    if not os.path.lexists(path.parent):
        raise _UngradableError(f"{path.parent} was not copied from the agent's container")
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    status = os.fstat(number)
    if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_ANSWER:
        os.close(number)  # a folder would be an error below
        return None
    with os.fdopen(number, "rb") as file:
        try:
            return file.read().decode("utf-8-sig")
        except UnicodeDecodeError:
            return None


def _write_reward(reward: float) -> None:
    """Write the file that harbor reads; every process of the answer has ended.

    Whatever lies in its place is not ours: `reward.json` counts more than `reward.txt`.
    """
    _OUT.mkdir(parents=True, exist_ok=True)
    for path in (_OUT / "reward.txt", _OUT / "reward.json"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    with (_OUT / "reward.json").open("x", encoding="ascii") as file:
        json.dump({"reward": reward}, file)


def main(problem: Path, python: str) -> int:
    """Grade; 0: a reward was written, 1: the machine cannot grade, and there is none."""
    stored = json.loads(problem.read_text(encoding="utf-8"))
    answer = Path(stored["answer"])
    # Nobody but root reads the tests, or writes where the reward will be.
    for folder in (problem.parent, _OUT.parent, answer.parent):
        if folder.is_dir() and not folder.is_symlink():
            folder.chmod(0o700)
    try:
        code = read_answer(answer)
        if code is None:
            reward, reason = 0.0, f"there is no program in {answer}"
        else:
            with Pool(_ContainerLauncher(python), workers=1, isolation="split") as sandbox:
                reward, reason = grade(stored, code, sandbox)
    except (RecodeError, TimeoutError) as error:
        print(f"UNSCORED: {one_line(error)}")
        return 1
    _write_reward(reward)
    print(f"reward {reward:g}{': ' if reason else ''}{one_line(reason)}")
    return 0
