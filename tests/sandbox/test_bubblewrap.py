from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recode_eval.sandbox import bubblewrap

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
