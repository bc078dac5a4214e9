"""What a process that is forked amid the work of other threads can still do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING

import pytest

from recode_eval.forking import RenewedLock

if TYPE_CHECKING:
    from collections.abc import Callable


def in_a_child(work: Callable[[], object]) -> int:
    """Return the exit status of a forked process that does `work`, in ten seconds or not at all."""
    child = os.fork()
    if not child:
        code = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(10)
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1]


def test_a_lock_that_another_thread_held_is_free_in_a_forked_process() -> None:
    lock, held, over = RenewedLock(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock.now:
            held.set()
            over.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    assert in_a_child(lambda: lock.now.acquire(timeout=1) or os._exit(2)) == 0
    assert lock.now.locked()
    over.set()
    thread.join()


@pytest.mark.parametrize(
    "held",
    [
        "recode_eval.languages.python.syntax._WARNINGS_LOCK",
        "recode_eval.integrations.graders._lock",
        "recode_eval.integrations.rewards._lock",
        "recode_eval.run.reward._opening",
    ],
)
def test_a_process_that_is_forked_amid_grading_grades(held: str) -> None:
    """A thread that parsed an answer held the parser's lock at the fork.

    The forked process waited for it for ever, and with it a trainer's loader of data: five of five
    forks, while two threads looked for code.
    """
    module, _, name = held.rpartition(".")
    code = f"""
        import importlib, os, signal, threading
        from recode_eval import load_task, rewards
        from recode_eval.integrations.graders import shared_grader
        from recode_eval.run.config import SandboxOptions
        from recode_eval.run.reward import standing_grader
        task = load_task("arena-mini")
        lock = importlib.import_module("{module}").{name}
        held = threading.Event()
        def hold():
            with lock.now:
                held.set()
                threading.Event().wait()
        threading.Thread(target=hold, daemon=True).start()
        held.wait()
        child = os.fork()
        if not child:
            signal.alarm(60)
            key, text = task.problems[0].id, "```python\\nx = (1\\n```"
            shared_grader(task, SandboxOptions())
            rewards._grader("arena-mini", "http://127.0.0.1:9", None)
            os._exit(0 if standing_grader("arena-mini")(key, "Use `f(x)`.") == 0 else 3)
        os._exit(1 if os.waitpid(child, 0)[1] else 0)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=180,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
