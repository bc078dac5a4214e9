from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sandbox.conftest import open_or_skip

from recode_eval.sandbox import Limits, Program, Test, bubblewrap

CHECKOUT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.skipif(bubblewrap.reason_against() is not None, reason="bubblewrap does not work here")
def test_a_checkout_under_tmp_works() -> None:
    """The work folder's tmpfs on /tmp hid the supervisor of a checkout that lies there."""
    folder = Path("/tmp") / f"recode-eval-checkout-{os.getpid()}"
    folder.mkdir()
    try:
        for name in ("recode_eval", "sandbox", "tasks", "leaderboard"):
            shutil.copytree(CHECKOUT / name, folder / name)
        shutil.copy(CHECKOUT / "pyproject.toml", folder)
        program = (
            "from recode_eval.sandbox import open_sandbox\n"
            "from recode_eval.sandbox.base import Limits, Program, Test\n"
            "import recode_eval\n"
            "assert recode_eval.__file__.startswith('/tmp/'), recode_eval.__file__\n"
            "with open_sandbox('bubblewrap', workers=1) as sandbox:\n"
            "    program = Program('', 'x = 1', (Test('t', 'assert x == 1'),))\n"
            "    print(sandbox.submit(program, Limits()).result().passed)\n"
        )
        result = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True, text=True, timeout=300, check=False, cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder)},
        )  # fmt: skip
        assert result.stdout.strip() == "True", result.stderr
    finally:
        shutil.rmtree(folder)


def test_a_pool_outlives_the_thread_that_opened_it(caplog: pytest.LogCaptureFixture) -> None:
    """Each pool of a release lost its first worker, and started another one.

    Bubblewrap ends its child with the thread that started it, and a router opens pools in threads.
    """
    with ThreadPoolExecutor(1) as threads:
        sandbox = threads.submit(open_or_skip, "bubblewrap", workers=1).result()
    with sandbox:
        time.sleep(0.3)
        result = sandbox.submit(Program("", "x = 1", (Test("t", "assert x"),)), Limits()).result()
    assert result.passed
    assert "was lost" not in caplog.text
