"""Completion in real shells: the code that `completion` prints, and what it offers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import recode_eval

from recode_eval.commands.completion import SHELLS

pytestmark = pytest.mark.slow


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Both programs on the path, wherever this package is installed."""
    for name, module in (("recode-eval", "recode_eval"), ("recode-train", "recode_train.cli")):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
        program.chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "HOME": str(tmp_path), "TERM": "dumb"}


def _shell(name: str) -> str:
    return shutil.which(name) or pytest.skip(f"{name} is not installed")


def _offered(environment: dict[str, str], line: str) -> list[str]:
    """Return what bash offers at the end of the line."""
    program = line.split()[0]
    script = f"""
        eval "$(recode-eval completion bash)"
        COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; COMP_TYPE=9
        COMP_WORDS=({line}); [ "${{COMP_LINE: -1}}" = ' ' ] && COMP_WORDS+=('')
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        handler=$(complete -p {program} | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        $handler {program} "${{COMP_WORDS[COMP_CWORD]}}"
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    result = subprocess.run(
        [_shell("bash"), "-c", script], env=environment, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    return [word.strip() for word in result.stdout.split("\n") if word.strip()]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("recode-eval comp", {"compare", "completion"}),
        ("recode-eval --mod", {"--model"}),
        ("recode-eval run --temp", {"--temperature"}),
        ("recode-eval leaderboard bu", {"build"}),
        ("recode-eval run --tasks arena-m", {"arena-mini", "arena-multi"}),
        ("recode-eval run --tasks migration,arena-mi", {"migration,arena-mini"}),
        ("recode-eval run --sandbox la", {"landlock"}),
        ("recode-eval run --model baseline:", {"reference", "stale", "empty"}),
        ("recode-train comp", {"compare"}),
        ("recode-train dpo --sk", {"--skip-bad-rows"}),
        ("recode-train dapo --preset paper", {"paper-dapo"}),
        ("recode-train compare --arms sft,dp", {"sft,dpo"}),
    ],
)
def test_bash_offers(environment: dict[str, str], line: str, expected: set[str]) -> None:
    assert set(_offered(environment, line)) == expected


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_accepts_its_code(shell: str, environment: dict[str, str]) -> None:
    program = {
        "bash": 'eval "$(recode-eval completion bash)"; complete -p recode-eval recode-train',
        "zsh": 'autoload -U compinit; compinit -u; eval "$(recode-eval completion zsh)"; '
        'echo "$_comps[recode-eval] $_comps[recode-train]"',
        "fish": "recode-eval completion fish | source; complete -C 'recode-eval compa'",
    }[shell]
    result = subprocess.run(
        [_shell(shell), "-c", program], env=environment, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    if shell == "fish":
        assert result.stdout.split()[0] == "compare"
    else:
        assert "recode-train" in result.stdout or "_python_argcomplete" in result.stdout


def test_an_unknown_shell_is_refused() -> None:
    result = recode_eval("completion", "tcsh")
    assert result.returncode == 2
    assert "bash" in result.stderr
