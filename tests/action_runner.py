"""Runs the steps of a composite action as GitHub's runner does, as far as this action needs it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
_EXPRESSION = re.compile(r"\$\{\{ (inputs|steps)\.([a-z-]+)(?:\.outputs\.([a-z-]+))? \}\}")
_HEREDOC = re.compile(r"([^=\n]+)<<([^\n]+)\n(.*?)\n\2\n", re.DOTALL)


@dataclass
class Job:
    """A workspace with the runner's files; `outputs` are those of the steps so far."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("work space", "temp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.workspace = self.folder / "work space"
        self.summary = self.folder / "summary.md"

    def run(self, **inputs: str) -> subprocess.CompletedProcess[str]:
        """Run all steps until one fails; return the last one, with what all of them printed."""
        printed = ""
        for step in ACTION["runs"]["steps"]:
            result = self.step(step, inputs)
            printed += result.stdout
            if result.returncode:
                break
        result.stdout = printed
        return result

    def step(
        self, step: dict[str, Any], inputs: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        values = {name: str(raw.get("default", "")) for name, raw in ACTION["inputs"].items()}
        values |= {name.replace("_", "-"): value for name, value in inputs.items()}
        values.setdefault("python", sys.executable)
        settings = {
            name: _EXPRESSION.sub(lambda found: self._value(found, values), text)
            for name, text in step["env"].items()
        }
        result, outputs = self.script(step["run"], settings)
        if "id" in step:
            self.outputs[step["id"]] = outputs
        return result

    def _value(self, found: re.Match[str], inputs: dict[str, str]) -> str:
        kind, name, output = found.groups()
        return inputs[name] if kind == "inputs" else self.outputs[name].get(output, "")

    def script(
        self, text: str, settings: dict[str, str]
    ) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
        """Run a script as `shell: bash` does; return also the outputs that it set."""
        file, outputs = self.folder / "step.sh", self.folder / "outputs"
        file.write_text(text)
        outputs.write_text("")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_OUTPUT": str(outputs),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_REPOSITORY": "owner/project",
            "GITHUB_RUN_ID": "77",
            "GITHUB_SERVER_URL": "https://github.example",
            "RUNNER_TEMP": str(self.folder / "temp"),
            **self.environment,
            **settings,
        }
        result = subprocess.run(
            [shutil.which("bash") or "bash", "--noprofile", "--norc", "-eo", "pipefail", str(file)],
            cwd=self.workspace, env=environment, text=True, timeout=300, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return result, _outputs(outputs.read_text())

    @property
    def result(self) -> dict[str, str]:
        """The outputs of the action."""
        return {
            name: _EXPRESSION.sub(lambda found: self._value(found, {}), raw["value"])
            for name, raw in ACTION["outputs"].items()
        }


def _outputs(text: str) -> dict[str, str]:
    found = {name: value for name, _, value in _HEREDOC.findall(text)}
    rest = _HEREDOC.sub("", text)
    return found | dict(line.split("=", 1) for line in rest.splitlines())
