"""The command line as a process, for tests of what users meet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from recode_eval.errors import ExitCode


def recode_eval(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    return _run("recode_eval", *arguments, **settings)


def recode_train(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    return _run("recode_train", *arguments, **settings)


def _run(module: str, *arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    options = {"timeout": 300, "check": False, **settings}
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", **options.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True, text=True, env=environment, **options,
    )  # fmt: skip


def bare(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run with the cheapest sandbox; the programs of these tests are our own."""
    return recode_eval(
        *arguments, "--sandbox", "none", "--i-know-this-is-unsafe", "--workers", "1", **settings
    )


def failed(result: subprocess.CompletedProcess[str], code: ExitCode, *parts: str) -> None:
    """Check that a command ended as documented, with one line of error and no traceback."""
    assert result.returncode == code, result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("recode-eval: error: ") or "usage:" in result.stderr
    for part in parts:
        assert part in result.stderr
    assert "Traceback" not in result.stderr


def arena(rows: Path) -> list[str]:
    return ["--tasks", "arena", "--data", f"arena={rows}", "--out", str(rows.parent / "runs")]


def own_task(folder: Path, name: str, lines: list[dict[str, object]], **spec: object) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    (folder / name / "own.jinja2").write_text("{{ problem }}")
    content = {
        "name": name, "version": 1, "description": "mine", "kind": "arena", "environment": "mini",
        "data": {"file": "rows.jsonl"}, "prompts": {"plain": {"template": "own.jinja2"}}, **spec,
    }  # fmt: skip
    (folder / name / "task.yaml").write_text(json.dumps(content))
