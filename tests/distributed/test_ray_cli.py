"""`--executor ray` from the command line: the same records, and nothing lost with the driver."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from arena_rows import REFERENCE, STALE, arena_row, write_rows
from command_line import arena, failed, recode_eval

from recode_eval.errors import ExitCode

pytestmark = pytest.mark.slow

ANSWERS = [
    f"```python\n{REFERENCE}```",
    f"```python\n{STALE}```",
    "no code at all",
    "```python\ndef f(x):\n    return 1 / 0\n```",
    "```python\nwhile True: pass\n```",
]


def saved(folder: Path, samples: int, problems: int) -> Path:
    """Saved answers, another one for every sample of every problem."""
    file = folder / "answers.jsonl"
    lines = [
        {
            "task_id": arena_row(problem, problem // 2)["prog_syn_id"],
            "completion": ANSWERS[(problem + sample) % len(ANSWERS)],
        }
        for problem in range(problems)
        for sample in range(samples)
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def records(out: Path, name: str) -> dict[tuple[str, int], dict[str, Any]]:
    """What was stored, without what no two runs share; a record that is there twice fails."""
    (file,) = out.glob(f"*/*/{name}")
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for line in file.read_text().splitlines():
        record = json.loads(line)
        key = record["problem_id"], record["sample"]
        assert key not in found, f"{key} twice"
        for condition in record.get("conditions", {}).values():
            del condition["cpu_s"]
            for test in condition["tests"]:
                if test[1] == "timeout":  # which limit is met first depends on the machine's load
                    assert test[2].startswith("more than"), test
                    test[2] = "more than a limit"
        record.pop("seconds", None)
        found[key] = record
    return found


def test_records_are_those_of_the_local_executor(nodes: Any, tmp_path: Path) -> None:
    rows, answers = write_rows(tmp_path / "rows.jsonl"), saved(tmp_path, 3, 6)
    common = ["--model", f"replay:{answers}", "--tasks", "arena", "--data", f"arena={rows}",
              "--sandbox", "landlock", "--timeout", "1", "--json", "--quiet"]  # fmt: skip
    local = recode_eval(*common, "--out", str(tmp_path / "local"))
    assert local.returncode == 0, local.stderr
    spread = recode_eval(
        *common, "--out", str(tmp_path / "ray"), "--executor", "ray", "--ray-address", nodes.address
    )
    assert spread.returncode == 0, spread.stderr
    for name in ("completions.jsonl", "scores.jsonl"):
        here = records(tmp_path / "local", name)
        assert len(here) == 18
        assert records(tmp_path / "ray", name) == here
    one, two = json.loads(local.stdout), json.loads(spread.stdout)
    assert one["metrics"] == two["metrics"]
    assert one["run"] == two["run"]
    assert one["sandbox"]["nodes"] == {}
    assert two["sandbox"]["nodes"]
    assert {node["tier"] for node in two["sandbox"]["nodes"].values()} == {"landlock"}


def test_a_killed_driver_goes_on_where_it_stopped(nodes: Any, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    lines = [arena_row(i, i // 2) for i in range(16)]
    for row in lines:
        row["unit_tests"] = "import time\ndef test_a():\n    time.sleep(0.5)"
    rows.write_text("".join(json.dumps(row) + "\n" for row in lines))
    command = ["--model", "baseline:reference", *arena(rows), "--sandbox", "landlock",
               "--executor", "ray", "--ray-address", nodes.address]  # fmt: skip
    driver = subprocess.Popen(
        [sys.executable, "-m", "recode_eval", *command],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    scores: list[Path] = []
    while not any(path.read_text() for path in scores):
        assert time.monotonic() < deadline
        assert driver.poll() is None
        scores = list((tmp_path / "runs").glob("*/*/scores.jsonl"))
        time.sleep(0.05)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    before = len(scores[0].read_text().splitlines())
    again = recode_eval(*command, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["counts"]["scored"] == 16
    assert 0 < before < 16
    assert len(records(tmp_path / "runs", "completions.jsonl")) == 16
    assert len(records(tmp_path / "runs", "scores.jsonl")) == 16


def test_every_model_is_loaded_once(
    nodes: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Three models, two tasks, two replicas: each replica has a model until both tasks are done."""
    import ray_parts

    from recode_eval import cli
    from recode_eval.distributed import cluster

    monkeypatch.setattr(cluster, "Replica", ray_parts.EchoReplica)
    models = [f"{tmp_path}/checkpoint-{number}" for number in (1, 2, 3)]
    for model in models:
        Path(model).mkdir()
        (Path(model) / "config.json").write_text(json.dumps(model))
    command = ["sweep", "--models", ",".join([*models, "broken"]), "--backend", "transformers",
               "--tasks", "arena-mini,arena-multi", "--limit", "2", "--n", "2", "--json",
               "--sandbox", "landlock", "--out", str(tmp_path / "runs"), "--executor", "ray",
               "--ray-address", nodes.address, "--replicas", "2", "--quiet"]  # fmt: skip
    assert cli.run(command) == ExitCode.CHECK_FAILED
    content = json.loads(capsys.readouterr().out)
    assert [item["model"] for item in content] == [*models, "broken"]
    assert [len(item["results"]) for item in content] == [2, 2, 2, 0]
    assert content[3]["error"] == "there is no model 'broken'"
    assert all(r["counts"]["scored"] == 4 for item in content for r in item["results"])
    loaded = [line.split()[0] for line in (tmp_path / "loaded").read_text().splitlines()]
    assert sorted(loaded) == models
    assert cli.run(command) == ExitCode.CHECK_FAILED
    assert len((tmp_path / "loaded").read_text().splitlines()) == 3, "what is done is not loaded"


@pytest.mark.parametrize(
    ("words", "code", "parts"),
    [
        (["--replicas", "2"], ExitCode.USAGE, ["--replicas needs --executor ray"]),
        (["--ray-address", "auto"], ExitCode.USAGE, ["--ray-address needs --executor ray"]),
        pytest.param(
            ["--executor", "ray", "--ray-address", "ray://127.0.0.1:10001"],
            ExitCode.USAGE,
            ["does not support Ray's client", "auto"],
            marks=pytest.mark.skipif(
                find_spec("ray") is None, reason="needs pip install 'recode-eval[ray]'"
            ),
        ),
    ],
)
def test_bad_options(rows: Path, words: list[str], code: ExitCode, parts: list[str]) -> None:
    failed(recode_eval("--model", "baseline:reference", *arena(rows), *words), code, *parts)


def test_nobody_answers_at_the_address(rows: Path) -> None:
    pytest.importorskip("ray", reason="needs pip install 'recode-eval[ray]'")
    result = recode_eval(
        "--model", "baseline:reference", *arena(rows), "--executor", "ray",
        "--ray-address", "127.0.0.1:1",
    )  # fmt: skip
    failed(result, ExitCode.UNAVAILABLE, "No Ray cluster at 127.0.0.1:1", "ray start --head")
