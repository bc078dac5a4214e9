"""The weekly upkeep: what would be mined, whose turn it is, and workflows that GitHub takes."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from check_jsonschema.cli.main_command import main as check_jsonschema
from click.testing import CliRunner
from jinja2 import Environment, FileSystemLoader

from recode_eval.errors import InfrastructureError
from recode_eval.mining.kit import folder as kit

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "upkeep.yml"


@pytest.fixture
def remine(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("remine", ROOT / ".ci" / "remine.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def versions(library: str) -> list[str]:
        if library == "numpy":
            raise InfrastructureError("the index cannot be reached\nat all")
        return ["1.0", "99.10", "99.9"] if library == "pandas" else ["0.1"]

    monkeypatch.setattr(module, "final_versions", versions)
    return module


def test_a_dry_run_says_what_would_be_mined(
    remine: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def mine(config: object) -> None:
        raise AssertionError("a dry run mines nothing")

    monkeypatch.setattr(remine, "mine", mine)
    assert remine.main(["--dry-run", "pandas", "numpy", "httpx", "no-such-library"]) == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert re.fullmatch(r"\| pandas \| 3\.\S+ \| 99\.10 \| would be mined \| \|", rows[0])
    assert rows[1].endswith("| the index cannot be reached at all | |")
    assert rows[2] == "| httpx | 0.28.1 | 0.1 | nothing new | |"
    assert "no-such-library |  | 0.1 | nothing new" in rows[3]


def test_nothing_that_could_be_mined_is_an_error(remine: ModuleType) -> None:
    assert remine.main(["--dry-run", "numpy"]) == 1


def test_every_library_gets_its_turn(remine: ModuleType) -> None:
    libraries = [f"library-{number}" for number in range(67)]
    seen = [name for week in range(5) for name in remine.share_of(libraries, 16, 2000 + week)]
    assert set(seen) == set(libraries)
    assert remine.share_of(libraries[:3], 16, 7) == libraries[:3]


def test_github_takes_the_workflows(tmp_path: Path) -> None:
    environment = Environment(loader=FileSystemLoader(kit._TEMPLATES), keep_trailing_newline=True)
    made = tmp_path / "update.yml"
    made.write_text(environment.get_template("update.yml.jinja2").render(task="click-update"))
    for file in (WORKFLOW, made):
        words = ["--builtin-schema", "vendor.github-workflows", str(file)]
        result = CliRunner().invoke(check_jsonschema, words)
        assert result.exit_code == 0, result.output
        for job in yaml.safe_load(file.read_text())["jobs"].values():
            assert not any("${{" in step.get("run", "") for step in job["steps"])
    steps = yaml.safe_load(made.read_text())["jobs"]["evaluate"]["steps"]
    assert any("${{ vars.MODEL }}" in str(step.get("env")) for step in steps)


def test_the_workflow_runs_commands_that_exist() -> None:
    steps = [
        step.get("run", "")
        for job in yaml.safe_load(WORKFLOW.read_text())["jobs"].values()
        for step in job["steps"]
    ]
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make ([a-z-]+)", "\n".join(steps)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    assert any(".ci/remine.py" in step for step in steps)
    project = (ROOT / "pyproject.toml").read_text()
    assert re.search(r"^mining = ", project, re.MULTILINE)
