"""`leaderboard check`: an honest run is sound, and each way to cheat that it can see is seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from arena_rows import REFERENCE
from command_line import bare, failed, recode_eval
from graded_run import graded_run

from recode_eval.errors import ExitCode
from recode_eval.run.records import CompletionRecord
from recode_eval.run.store import COMPLETIONS, RESULTS, SCORES

pytestmark = pytest.mark.slow

BARE = ["--sandbox", "none", "--i-know-this-is-unsafe", "--workers", "1"]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of right, stale and missing answers: three of each of six problems."""
    return graded_run(tmp_path_factory.mktemp("check"))


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    folder = tmp_path / original.name
    folder.mkdir()
    for file in original.iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    return folder


def check(run: Path, original: Path, *more: str) -> Any:
    rows = original.parents[2] / "rows.jsonl"
    return recode_eval(
        "leaderboard", "check", str(run), "--data", f"arena={rows}", "--share", "1", *BARE, *more
    )


def edit(file: Path, change: Callable[[dict[str, Any]], None], line: int | None = None) -> None:
    """Change one JSON file, or one line of a file of lines."""
    if line is None:
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))
        return
    lines = [json.loads(text) for text in file.read_text().splitlines()]
    change(lines[line])
    file.write_text("".join(json.dumps(item) + "\n" for item in lines))


def test_an_honest_run_is_sound_as_a_folder_and_as_a_pack(
    run: Path, original: Path, tmp_path: Path
) -> None:
    result = check(run, original, "--json", "--seed", "3")
    assert result.returncode == 0, result.stderr + result.stdout
    found = json.loads(result.stdout)
    assert (found["sound"], found["samples"], found["drawn"]) == (True, 18, 18)
    assert (found["prompts"], found["wrong_prompts"], found["deviations"]) == ("", [], [])
    packed = recode_eval("pack", str(run), "--out", str(tmp_path / "sent.tar.zst"))
    assert packed.returncode == 0, packed.stderr
    again = check(tmp_path / "sent.tar.zst", original, "--quiet")
    assert again.returncode == 0, again.stderr + again.stdout
    assert again.stdout.splitlines()[-1] == "sound"


def _failing(run: Path) -> int:
    """The line of a score that does not pass."""
    for number, text in enumerate((run / SCORES).read_text().splitlines()):
        score = json.loads(text)
        if score["code"] and not score["conditions"]["with_update"]["passed"]:
            return number
    raise AssertionError("every sample passes")


def _pass(score: dict[str, Any]) -> None:
    condition = score["conditions"]["with_update"]
    condition["passed"] = True
    condition["tests"] = [[name, "passed", ""] for name, _, _ in condition["tests"]]


def test_a_forged_verdict_is_found(run: Path, original: Path) -> None:
    """Attack: a failed sample is made to pass, and all counts and figures are made to agree."""
    line = _failing(run)
    edit(run / SCORES, _pass, line)
    problem = json.loads((run / SCORES).read_text().splitlines()[line])["problem_id"]
    again = bare("score", str(run), "--data", f"arena={original.parents[2]}/rows.jsonl")
    assert again.returncode == 0, again.stderr
    result = check(run, original, "--json", "--quiet")
    assert result.returncode == ExitCode.CHECK_FAILED, result.stderr
    (deviation,) = json.loads(result.stdout)["deviations"]
    assert (deviation["what"], deviation["problem_id"]) == ("verdict", problem)


def test_limits_that_nothing_meets_hide_no_forgery(run: Path, original: Path) -> None:
    """Attack: with a limit of a millisecond every answer times out here, right or wrong."""
    edit(run / SCORES, _pass, _failing(run))
    done = bare("score", str(run), "--data", f"arena={original.parents[2]}/rows.jsonl")
    assert done.returncode == 0, done.stderr

    def hurry(content: dict[str, Any]) -> None:
        content["scoring"]["limits"]["cpu_s"] = 0.001
        content["scoring"]["limits"]["wall_s"] = 0.001
        content["scoring"]["calibration"] = {
            "factor": 1e-9, "minimum_s": 1e-9, "maximum_s": 1e-9, "fallback_s": 1e-9,
            "wall_factor": 1e-9,
        }  # fmt: skip

    edit(run / RESULTS, hurry)
    edit(run / "manifest.json", hurry)
    result = check(run, original, "--json", "--quiet")
    assert result.returncode == ExitCode.CHECK_FAILED, result.stderr
    (deviation,) = json.loads(result.stdout)["deviations"]
    assert deviation["what"] == "verdict"


def test_a_pass_that_times_out_here_is_not_confirmed() -> None:
    """Attack: an answer that runs for ever, called a pass: time-outs were no fault."""
    from types import SimpleNamespace

    from recode_eval.leaderboard.verify import _deviation
    from recode_eval.run.records import ScoreRecord

    def score(*statuses: str) -> ScoreRecord:
        tests = [[f"t{i}", status, ""] for i, status in enumerate(statuses)]
        passed = all(status == "passed" for status in statuses)
        return ScoreRecord("p", 0, "h", "c", "s", "tier", "fence", "", "x", {"es": 1.0},
                           {"with_update": {"passed": passed, "tests": tests}})  # fmt: skip

    def what(there: ScoreRecord, here: ScoreRecord) -> str | None:
        sample: Any = SimpleNamespace(score=there, completion=SimpleNamespace(key=("p", 0)))
        found = _deviation(sample, here)
        return found.what if found else None

    assert what(score("passed"), score("timeout")) == "verdict"
    assert what(score("timeout"), score("passed")) == "timeout"
    assert what(score("passed", "passed"), score("passed")) == "verdict"
    assert what(score("passed"), score("passed")) is None


def test_a_figure_without_counts_is_found(run: Path, original: Path) -> None:
    """Attack: pass@100 of three samples."""

    def forge(results: dict[str, Any]) -> None:
        results["metrics"]["pass@100"] = {**results["metrics"]["pass@1"]}
        results["metrics"]["pass@\u00b2"] = {**results["metrics"]["pass@1"]}

    edit(run / RESULTS, forge)
    result = check(run, original, "--quiet")
    assert result.returncode in {ExitCode.CHECK_FAILED, ExitCode.DATA}, result.stderr
    assert "pass@100" in result.stdout + result.stderr or "pass@" in result.stderr


def test_a_forged_figure_is_found(run: Path, original: Path) -> None:
    """Attack: the headline is changed, the counts below it are not."""

    def forge(results: dict[str, Any]) -> None:
        results["metrics"]["pass@1"]["value"] = 0.99

    edit(run / RESULTS, forge)
    result = check(run, original, "--quiet")
    assert result.returncode == ExitCode.CHECK_FAILED, result.stderr
    assert "figure: pass@1 does not match the counts" in result.stdout


def test_other_prompts_under_the_same_name_are_found(run: Path, original: Path) -> None:
    """Attack: the model was shown the answer, and the run names the task's own prompt."""
    file = run / COMPLETIONS
    lines = [json.loads(text) for text in file.read_text().splitlines()]
    problem = lines[0]["problem_id"]
    for name in (COMPLETIONS, SCORES):
        records = [json.loads(text) for text in (run / name).read_text().splitlines()]
        for record in records:
            if record["problem_id"] == problem:
                record["prompt_hash"] = "0" * len(record["prompt_hash"])
        (run / name).write_text("".join(json.dumps(record) + "\n" for record in records))
    result = check(run, original, "--quiet")
    assert result.returncode == ExitCode.CHECK_FAILED, result.stderr
    assert f"prompt: {problem} used another prompt" in result.stdout


def test_swapped_answers_are_found(run: Path, original: Path) -> None:
    """Attack: the stored text is another one than what was graded."""

    def swap(completion: dict[str, Any]) -> None:
        completion["text"] = f"```python\n{REFERENCE}# better\n```"

    lines = (run / COMPLETIONS).read_text().splitlines()
    (number,) = [
        n for n, text in enumerate(lines)
        if CompletionRecord.from_json(json.loads(text)).text == "no code"
    ][:1]  # fmt: skip
    edit(run / COMPLETIONS, swap, number)
    failed(check(run, original, "--quiet"), ExitCode.DATA)


@pytest.mark.parametrize(
    "forged",
    [{"cpu_s": 1e308}, {"cpu_s": -1}, {"memory_bytes": "much"}, {"processes": 10**9}],
)
def test_hostile_limits_are_capped_or_refused(
    run: Path, original: Path, forged: dict[str, Any]
) -> None:
    """Attack: limits that would let a program take the checking machine for days."""
    from recode_eval.errors import DataError
    from recode_eval.leaderboard.verify import _MOST, _settings

    class Entry:
        where = "sent"
        results = json.loads((run / RESULTS).read_text())

    Entry.results["scoring"]["limits"].update(forged)
    try:
        limits = _settings(Entry()).limits  # type: ignore[arg-type]
    except DataError as error:
        assert "damaged" in str(error)
        return
    assert limits.cpu_s <= _MOST.cpu_s
    assert limits.processes <= _MOST.processes


def test_rows_that_are_not_here_are_asked_for(run: Path) -> None:
    result = recode_eval("leaderboard", "check", str(run), *BARE)
    failed(result, ExitCode.DATA, "--data arena=FILE")


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("x")
    failed(recode_eval("leaderboard", "check", str(tmp_path / "x.txt"), *BARE), ExitCode.USAGE)
    (tmp_path / "x.tar.zst").write_text("x")
    failed(recode_eval("leaderboard", "check", str(tmp_path / "x.tar.zst"), *BARE), ExitCode.DATA)


def test_paths_of_the_pack_are_not_followed(run: Path, original: Path, tmp_path: Path) -> None:
    """Attack: a run names a folder with Python files as the place of its task."""
    evil = tmp_path / "evil" / "arena"
    evil.mkdir(parents=True)
    (evil / "task.yaml").write_text("name: arena\nkind: evil.py:Evil\nversion: 1\n")
    (evil / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")

    def point(manifest: dict[str, Any]) -> None:
        manifest["settings"] = {"include_path": [str(tmp_path / "evil")], "data": "/etc/passwd"}

    edit(run / "manifest.json", point)
    result = check(run, original, "--quiet")
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "ran").exists()


def test_a_site_of_packs(run: Path, tmp_path: Path) -> None:
    """A pack, or a folder of packs, is as good as a folder of runs; a broken one is named."""
    sent = tmp_path / "submissions"
    sent.mkdir()
    pack = sent / "one.tar.zst"
    assert recode_eval("pack", str(run), "--out", str(pack)).returncode == 0
    sites = []
    for number, root in enumerate((pack, sent, run.parent)):
        site = tmp_path / f"site{number}"
        built = recode_eval("leaderboard", "build", str(root), "--out", str(site), "--quiet")
        assert built.returncode == 0, built.stderr
        sites.append((site / "data" / "leaderboard.json").read_text())
    assert sites[0] == sites[1]
    assert json.loads(sites[0])["rows"] == json.loads(sites[2])["rows"]
    (sent / "two.tar.zst").write_bytes(pack.read_bytes()[:-9])
    built = recode_eval("leaderboard", "build", str(sent), "--out", str(tmp_path / "more"))
    assert built.returncode == ExitCode.DATA
    assert "left out: two.tar.zst" in built.stderr
    pack.unlink()
    only = str(sent / "two.tar.zst")
    built = recode_eval("leaderboard", "build", only, "--out", str(tmp_path / "none"))
    failed(built, ExitCode.DATA, "No pack is sound")
