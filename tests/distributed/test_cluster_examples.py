"""The examples for clusters: their shell is sound, and the commands in them are real ones."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from recode_eval.cli import create_parser

FOLDER = Path(__file__).parents[2] / "examples" / "cluster"
SCRIPTS = sorted(FOLDER.glob("*.sh"))


def commands(text: str, program: str) -> list[list[str]]:
    """The calls of a program in a text, their variables as they stand."""
    joined = re.sub(r"\\\n\s*", " ", text)
    lines = re.findall(rf"^(?:exec )?\s*{program} .*$", joined, re.MULTILINE)
    return [shlex.split(line)[1:] for line in lines]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_the_shell_is_sound(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    assert script.read_text().startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in script.read_text()


def test_every_evaluation_in_them_is_understood() -> None:
    job = yaml.safe_load((FOLDER / "kuberay.yaml").read_text())
    texts = [script.read_text() for script in SCRIPTS] + [job["spec"]["entrypoint"]]
    calls = [call for text in texts for call in commands(text, "recode-eval")]
    assert len(calls) == 3
    for call in calls:
        words = call if call[0] == "sweep" else ["run", *call]
        arguments = create_parser().parse_args(words)
        assert arguments.executor == "ray"
        assert arguments.ray_address


def test_the_job_has_the_form_of_kuberay() -> None:
    job: dict[str, Any] = yaml.safe_load((FOLDER / "kuberay.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        pod = group["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    for group in cluster["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


@pytest.mark.slow
def test_the_training_with_a_server_is_understood(tmp_path: Path) -> None:
    """As `--dry-run` does, on a model of which only the configuration and a tokenizer exist.

    A dry run refuses what the run refuses, so it asks for vLLM. An empty package of that name
    stands for it: the plan imports none of it.
    """
    pytest.importorskip("trl", reason="needs pip install 'recode-eval[train]'")
    import sys

    from models import tiny_model

    model = tiny_model.build_checkpoint(tmp_path / "tiny", context=4096)
    (tmp_path / "packages" / "vllm").mkdir(parents=True)
    (tmp_path / "packages" / "vllm" / "__init__.py").touch()
    path = os.pathsep.join(
        [*filter(None, [os.environ.get("PYTHONPATH")]), str(tmp_path / "packages")]
    )
    done = subprocess.run(
        [sys.executable, "-m", "recode_train.cli", "grpo", "--config",
         str(FOLDER / "train-server.yaml"), "--model", str(model), "--dry-run", "--json",
         "--set", "max_completion_length=64", "--set", "max_prompt_length=100000"],
        capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["config"]["vllm_mode"] == "server"
    assert plan["config"]["num_processes"] == 8
    # The paper's GRPO makes one update a generation, for which nothing is clipped.
    assert [text for text in plan["warnings"] if not text.startswith("epsilon")] == []
