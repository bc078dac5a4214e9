"""The project's own papers agree with its code: version, contributor's guide, workflow, phases."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import run_phases
import yaml

import recode_eval

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_version_has_one_source() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "recode_eval/__init__.py"
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert str(citation["version"]) == recode_eval.__version__
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == recode_eval.__version__


def test_the_guide_names_files_and_commands_that_exist() -> None:
    """It sent readers to modules that had moved."""
    named = set(re.findall(r"`([\w./-]+/[\w./-]+|[\w-]+\.(?:py|toml|md))`", GUIDE))
    roots = ("", "recode_eval/", "recode_train/")
    missing = [
        name
        for name in named
        if not re.search(r"NEW|NAME|^build/|^train-runs/", name)
        and not any((ROOT / root / name).exists() for root in roots)
    ]
    assert not missing
    assert len(named) > 25
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make ([a-z-]+)", GUIDE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_each_of_the_changes_touches_four_files_at_most() -> None:
    table = GUIDE.split("| change | files | page |")[1].split("\n\n")[0]
    rows = [line for line in table.splitlines() if line.startswith("| a")]
    assert len(rows) >= 8
    for row in rows:
        files = row.split("|")[2]
        paths = re.findall(r"`[\w./-]+(?:\.py|\.toml|\.yaml|templates)`", files)
        parallel = re.findall(r"\(follows `[^`]+`\)", files)
        assert 1 <= len(paths) - len(parallel) <= 4, row


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("vendor.github-workflows", ".github/workflows/ci.yml"),
        ("vendor.github-workflows", ".github/workflows/submissions.yml"),
        ("vendor.github-workflows", ".github/workflows/submission-comment.yml"),
        ("vendor.citation-file-format", "CITATION.cff"),
        ("vendor.github-issue-forms", ".github/ISSUE_TEMPLATE/bug.yml"),
        ("vendor.github-issue-forms", ".github/ISSUE_TEMPLATE/proposal.yml"),
        ("vendor.github-issue-config", ".github/ISSUE_TEMPLATE/config.yml"),
    ],
)
def test_files_that_others_read_follow_their_schemas(schema: str, file: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, file]
    if file.endswith(".cff"):
        command += ["--default-filetype", "yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_two_files_of_tests_have_one_name() -> None:
    """Pytest imports them by their names alone, and refused the second where one ran both."""
    names = [file.name for file in (ROOT / "tests").rglob("test_*.py")]
    assert len(set(names)) == len(names)


def test_hooks_run_the_tools_of_the_environment() -> None:
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    tools = {hook["entry"].split()[0] for hook in repository["hooks"]}
    assert tools == {".venv/bin/ruff", ".venv/bin/mypy"}


@pytest.mark.parametrize(
    ("codes", "expected"),
    [([0, 0], 0), ([0, 5], 0), ([5, 0], 0), ([5, 5], 5), ([1, 0], 1), ([0, 2], 2), ([5, 1], 1)],
)
def test_the_exit_code_of_both_phases(codes: list[int], expected: int) -> None:
    """A phase without tests is no failure; a failure in either is one."""
    assert run_phases.overall(codes) == expected


def test_every_tier_splits_into_two_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may fall between the phases, and none may run in both."""
    ran: list[list[str]] = []

    def record(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        ran.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", record)
    for tier, marks in run_phases.TIERS.items():
        ran.clear()
        assert run_phases.main(["--tier", tier, "--workers", "3", "tests/stats"]) == 0
        start = f"({marks}) and " if marks else ""
        if tier == "check":
            [together] = ran
            assert together[together.index("-m", 3) + 1] == f"{start}(not alone)"
            assert "--hypothesis-profile=quick" in together
            continue
        together, alone = ([*command, ""] for command in ran)
        selected = [command[command.index("-m", 3) + 1] for command in (together, alone)]
        assert selected == [f"{start}(not alone)", f"{start}(alone)"]
        assert together[together.index("-n") + 1] == "3"
        assert alone[alone.index("-n") + 1] == "0"
        assert "tests/stats" in together
        assert "tests/stats" in alone
