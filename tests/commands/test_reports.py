"""Inputs of public bug reports on other tools, each tried by one line of shell."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

_READ_BACK = (
    "import json, sys; "
    "print(json.dumps({p['id']: p['passed'] == 1 for p in json.load(sys.stdin)['problems']}))"
)


def verdicts(shell: str) -> dict[str, bool]:
    python = shlex.quote(sys.executable)
    functions = f'recode-eval() {{ {python} -m recode_eval "$@"; }}; python() {{ {python} "$@"; }}'
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail; {functions}; {shell}"],
        capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, bool] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("isolation", ["program", "split"])
@pytest.mark.parametrize("name", ["extraction", "main-guard"])
def test_inputs_get_their_right_value(
    shared_data: Path, tmp_path: Path, name: str, isolation: str
) -> None:
    """Fences and think blocks gave no or wrong code; a main guard failed right answers."""
    folder = shared_data / "reports" / name
    rows, answers, out = (
        shlex.quote(str(path))
        for path in (folder / "rows.jsonl", folder / "answers.jsonl", tmp_path)
    )
    found = verdicts(
        f"recode-eval --model replay:{answers} --tasks humaneval --data humaneval={rows} "
        f"--isolation {isolation} --sandbox landlock --quiet --out {out} >&2; "
        f"cat {out}/*/*/results.json | python -c {shlex.quote(_READ_BACK)}"
    )
    ids = {json.loads(line)["task_id"] for line in (folder / "rows.jsonl").open(encoding="utf-8")}
    expected = folder / "expected.json"
    right = json.loads(expected.read_text()) if expected.exists() else dict.fromkeys(ids, True)
    assert found == right
    assert set(found) == ids
