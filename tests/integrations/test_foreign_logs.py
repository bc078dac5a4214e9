"""Logs of inspect_ai and lm-eval, made by the real tools, in everything that reads stored runs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from recode_eval import compare, gate
from recode_eval.cli import run as command
from recode_eval.leaderboard.site import build
from recode_eval.run.results_file import load_runs

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def inspect_logs(
    peer_python: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    python, found = peer_python("inspect_ai"), {}
    for name, *words in (
        ("old", "eval", "0.3", "1", "yes", "24"),
        ("new", "json", "0.9", "2", "yes", "24"),
        ("fewer", "eval", "0.9", "2", "no", "12"),
    ):
        folder = tmp_path_factory.mktemp(name)
        done = subprocess.run(
            [python, str(HERE / "inspect_sums.py"), str(folder), *words],
            capture_output=True, text=True, check=False, timeout=300, cwd=folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        [found[name]] = folder.glob("*_sums_*")
    return found


@pytest.fixture(scope="module")
def lm_eval_logs(
    peer_python: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    python, folder = peer_python("lm_eval"), tmp_path_factory.mktemp("lm")
    rows = [{"q": f"{i}+{i}=", "a": "lol" if i % 3 else "0", "cluster": f"c{i // 2}"}
            for i in range(12)]  # fmt: skip
    (folder / "sums.jsonl").write_text("\n".join(map(json.dumps, rows)))
    task = {
        "task": "sums", "dataset_path": "json", "test_split": "test",
        "dataset_kwargs": {"data_files": {"test": str(folder / "sums.jsonl")}},
        "output_type": "generate_until", "doc_to_text": "{{q}}", "doc_to_target": "{{a}}",
        "generation_kwargs": {"max_gen_toks": 8, "until": ["\n"], "do_sample": False},
        "metric_list": [{"metric": "exact_match", "aggregation": "mean",
                         "higher_is_better": True}],
        "metadata": {"version": 3},
    }  # fmt: skip
    (folder / "sums.yaml").write_text(json.dumps(task))
    done = subprocess.run(
        [str(Path(python).with_name("lm_eval")), "run", "--model", "dummy", "--tasks", "sums",
         "--include_path", str(folder), "--log_samples", "--output_path", str(folder / "out")],
        capture_output=True, text=True, check=False, timeout=300, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "out"


def test_two_inspect_logs_are_compared_in_one_command(
    inspect_logs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = str(inspect_logs["old"]), str(inspect_logs["new"])
    assert command(["compare", old, new, "--json"]) == 0
    [found] = json.loads(capsys.readouterr().out)["comparisons"]
    first = found["metrics"][0]
    rates = [rate(inspect_logs[name]) for name in ("old", "new")]
    assert (first["metric"], first["problems"], first["clusters"]) == ("pass@1", 24, 8)
    assert [first["baseline"], first["candidate"]] == pytest.approx(rates)
    assert first["p_value"] < 0.01
    assert any("graded by inspect_ai" in text for text in found["cautions"])
    assert any("does not say: temperature" in text for text in found["cautions"])
    assert "score_share" in [item["metric"] for item in found["metrics"]]


def rate(log: Path) -> float:
    """Return the accuracy that the tool itself reports."""
    if log.suffix == ".json":
        scores = json.loads(log.read_text())["results"]["scores"]
        return float(scores[0]["metrics"]["accuracy"]["value"])
    [run] = load_runs([log])
    passed = [problem.passed or 0 for problem in run.scores.values()]
    return sum(passed) / (2 * len(passed))


def test_an_archive_and_its_json_are_one_run(
    inspect_logs: dict[str, Path], tmp_path: Path, peer_python: Callable[[str], str]
) -> None:
    python = Path(peer_python("inspect_ai")).with_name("inspect")
    words = ["log", "convert", str(inspect_logs["old"]), "--to", "json", "--output-dir",
             str(tmp_path)]  # fmt: skip
    subprocess.run([str(python), *words], check=True, capture_output=True, timeout=300)
    [converted] = tmp_path.rglob("*.json")
    [one], [other] = load_runs([inspect_logs["old"]]), load_runs([converted])
    assert one.results.problems == other.results.problems
    assert one.results.identity == other.results.identity
    assert one.results.usage.prompt_tokens == 5 * 48


def test_samples_are_paired_by_id_and_what_one_log_lacks_is_said(
    inspect_logs: dict[str, Path],
) -> None:
    [found] = compare(inspect_logs["new"], inspect_logs["fewer"], metrics=["pass@1"])
    assert found.differences[0].estimate.n == 12
    assert any("12 problems are in one of the runs only" in text for text in found.cautions)
    assert any("name no cluster" in text for text in found.cautions)


def test_the_gate_and_plan_take_logs(
    inspect_logs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert str(gate(inspect_logs["new"], inspect_logs["old"]).verdict) == "regress"
    assert command(["plan", str(inspect_logs["old"]), str(inspect_logs["new"]), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_the_leaderboard_shows_logs_beside_each_other(
    inspect_logs: dict[str, Path], lm_eval_logs: Path, tmp_path: Path
) -> None:
    roots = [inspect_logs["old"], inspect_logs["fewer"].parent, lm_eval_logs]
    built = build(roots, tmp_path / "site", reported=False)
    assert (built.runs, built.broken) == (3, ())
    index = (tmp_path / "site" / "index.html").read_text()
    assert "mockllm/model" in index
    assert len(list((tmp_path / "site" / "problems").rglob("*.html"))) == 24 + 12


def test_lm_eval_samples_are_a_run(lm_eval_logs: Path) -> None:
    [samples] = lm_eval_logs.rglob("samples_*.jsonl")
    [run] = load_runs([samples])
    [same] = load_runs([lm_eval_logs])
    assert run.results == same.results
    assert run.results.metrics["pass@1"] is not None
    assert run.results.metrics["pass@1"].value == pytest.approx(8 / 12)
    assert (run.results.task.name, run.results.task.version) == ("sums", 3)
    assert run.results.sampling.temperature == 0
    assert len({problem.cluster for problem in run.scores.values()}) == 6
    [found] = compare(samples, samples, metrics=["pass@1"])
    assert found.differences[0].estimate.mean == 0
