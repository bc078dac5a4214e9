"""A sandbox for tests of the runner that makes every mistake a grader can make.

Each test runs in a new Python process, and the exit status is the verdict. Only attacks that are
harmless without protection may run here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.sandbox.base import Execution, SandboxInfo, Status, TestVerdict

if TYPE_CHECKING:
    from recode_eval.sandbox.base import Limits, Program, Sandbox


class NaiveSandbox:
    """Grades by the exit status; empties its folder between programs if told to `wipe`."""

    def __init__(self, *, wipe: bool = True, tier: str = "naive", workers: int = 1) -> None:
        self.info = SandboxInfo(tier, ("none: this is a test double",), "program", workers, "3")
        self.work = Path(tempfile.mkdtemp(prefix="naive-"))
        self.closed = False
        self._wipe = wipe

    def submit(self, program: Program, limits: Limits) -> Future[Execution]:
        del limits
        future: Future[Execution] = Future()
        try:
            future.set_result(self.execute(program))
        except Exception as error:
            future.set_exception(error)
        if self._wipe:
            shutil.rmtree(self.work, ignore_errors=True)
            self.work.mkdir(mode=0o700, exist_ok=True)
        return future

    def execute(self, program: Program) -> Execution:
        verdicts, output = [], ""
        for test in program.tests:
            start = "import random\nrandom.seed(0)\n"
            source = f"{start}{program.setup}\n{program.candidate}\n{test.code}\n"
            ended = subprocess.run(
                # A shell in between: the program must not have the test's processes as siblings.
                ["/bin/sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-s", "-B", "-c", source],
                cwd=self.work,
                capture_output=True,
                env={"PATH": os.environ["PATH"], "HOME": str(self.work)}, timeout=20, check=False,
            )  # fmt: skip
            output += ended.stdout.decode(errors="replace")
            said = ended.stderr.decode(errors="replace").strip().splitlines() or [""]
            status = Status.FAILED if ended.returncode else Status.PASSED
            verdicts.append(TestVerdict(test.name, status, said[-1] if ended.returncode else ""))
        return Execution(tuple(verdicts), output=output)

    def close(self) -> None:
        self.closed = True
        shutil.rmtree(self.work, ignore_errors=True)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
