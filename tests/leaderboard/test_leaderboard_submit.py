"""`leaderboard submit` and the review of pull requests: honest packs pass, forged ones do not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from command_line import bare
from graded_run import graded_run
from made_runs import make_run

from recode_eval import cli
from recode_eval.comparison.comparability import model_key
from recode_eval.errors import DataError, ExitCode, StorageError, UsageError
from recode_eval.gating.decision import decide
from recode_eval.gating.policy import Policy
from recode_eval.leaderboard.loading import load_runs
from recode_eval.leaderboard.sources import Sources
from recode_eval.leaderboard.submissions import SubmissionFacts, board_of, submit, wrong_facts
from recode_eval.run.archive import unpack
from recode_eval.run.results_file import read_run
from recode_eval.run.store import COMPLETIONS, MANIFEST, RESULTS, SCORES, identity_hash
from recode_eval.schemas.base import decode

ROOT = Path(__file__).resolve().parents[2]
HOW = "hub: example/model, revision 1"
SOURCES = Sources({}, ())


class _Larger(Sources):
    """Sources that know of more problems than a run asked."""

    def size(self, run: object) -> int:
        return 1_000


def _edit(file: Path, change: Callable[[dict[str, Any]], None], line: int | None = None) -> None:
    texts = [file.read_text()] if line is None else file.read_text().splitlines()
    content = json.loads(texts[line or 0])
    change(content)
    texts[line or 0] = json.dumps(content)
    file.write_text("\n".join(texts) + "\n")


def _private(content: dict[str, Any]) -> None:
    content["invocations"][-1]["command"] = [
        "/home/ada/.venv/bin/recode-eval", "--model", "/srv/weights/final", "--api-key", "s3cret99",
    ]  # fmt: skip
    content["settings"] = {"base_url": "http://10.0.0.7:8000/v1"}
    content["task"]["source"] = "/home/ada/rows/mine.jsonl"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    folder = make_run(tmp_path / "runs", "a/model b", 0.5, n=2)
    for name in (MANIFEST, RESULTS):
        _edit(folder / name, _private)
    return folder


def test_a_submission_tells_nothing_of_the_machine(made: Path, tmp_path: Path) -> None:
    found = submit(made, tmp_path / "out", HOW, SOURCES)
    run = json.loads((made / RESULTS).read_text())["run"]
    assert found.pack.name == f"a-model-b-arena-mini-{run}.tar.zst"
    unpack(found.pack, tmp_path / "back")
    texts = [(tmp_path / "back" / name).read_text() for name in (MANIFEST, RESULTS)]
    for text in (*texts, found.facts_file.read_text()):
        for word in ("ada", "/srv", "s3cret99", "10.0.0.7", str(tmp_path)):
            assert word not in text
    assert "--api-key" in texts[0]
    for name in (COMPLETIONS, SCORES):
        assert (tmp_path / "back" / name).read_bytes() == (made / name).read_bytes()
    facts = decode(found.facts_file.read_bytes(), SubmissionFacts, "facts")
    assert facts.how == HOW
    assert facts.command == "recode-eval --model …/final --api-key ***"
    assert wrong_facts(found.pack, board_of(tmp_path / "back", SOURCES)) == []
    with pytest.raises(UsageError, match="was submitted"):
        submit(made, tmp_path / "out", HOW, SOURCES)


def test_a_model_from_a_folder_is_submitted_without_the_folder(tmp_path: Path) -> None:
    """`--model PATH`, the main use, could not be submitted: its identity names the folder."""
    weights = {"path": "/home/ada/checkpoints/final", "sha256": "ab" * 32}
    folder = make_run(tmp_path / "runs", "m", 0.5, n=2, identity={"model": weights})
    found = submit(folder, tmp_path / "out", HOW, SOURCES)
    run = json.loads((folder / RESULTS).read_text())["run"]
    assert found.was == run != found.facts.run
    assert found.facts.run in found.pack.name
    unpack(found.pack, tmp_path / "back")
    for name in (MANIFEST, RESULTS):
        text = (tmp_path / "back" / name).read_text()
        assert "/home/ada" not in text
        assert json.loads(text)["identity"]["model"]["model"] == {**weights, "path": "final"}
    assert json.loads((folder / RESULTS).read_text())["run"] == run
    assert wrong_facts(found.pack, board_of(tmp_path / "back", SOURCES)) == []
    # Its run's copy, though with another hash: the site had both, and the gate let it pass.
    entries, [copy] = load_runs([tmp_path / "runs", tmp_path / "back"])
    assert len(entries) == 1
    assert "a copy of the run" in copy.reason
    one, two = (read_run(place / RESULTS) for place in (folder, tmp_path / "back"))
    assert model_key(one.results) == model_key(two.results)
    verdict = decide([one], [two], Policy(margins={"default": {"pass@1": 3.0}}))
    assert any("the baseline's own run" in text for text in verdict.invalid)


def test_an_identity_without_end_is_left_out(tmp_path: Path) -> None:
    """It was walked by a function that calls itself: one such pack ended the build of all."""
    deep: dict[str, Any] = {"sha256": "ab"}
    for _ in range(200):
        deep = {"a": [deep]}
    make_run(tmp_path / "runs", "deep", 0.5, n=2, identity=deep)
    make_run(tmp_path / "runs", "fine", 0.5, n=2)
    entries, [broken] = load_runs([tmp_path / "runs"])
    assert [entry.model_name for entry in entries] == ["fine"]
    assert "nested more than 50 levels" in broken.reason


def test_a_server_of_ones_own_is_submitted_without_its_address(tmp_path: Path) -> None:
    server = {"base_url": "http://10.0.0.7:8000/v1", "model": "m", "served": {"root": "/srv/a/m"}}
    folder = make_run(tmp_path / "runs", "m", 0.5, n=2, identity=server, backend="openai")
    identity = _identity_of(submit(folder, tmp_path / "out", HOW, SOURCES).pack, tmp_path / "back")
    assert identity["base_url"] == "http://(private)/v1"
    assert identity["served"] == {"root": "…/m"}


def test_folders_with_spaces_do_not_stay(made: Path, tmp_path: Path) -> None:
    """A path was cut at its first space, and what follows it stayed."""
    for name in (MANIFEST, RESULTS):
        _edit(made / name, lambda content: content["prompt"].update(source="/mnt/Ada L/My P/p.j2"))
    unpack(submit(made, tmp_path / "out", HOW, SOURCES).pack, tmp_path / "back")
    for name in (MANIFEST, RESULTS):
        content = json.loads((tmp_path / "back" / name).read_text())
        assert content["prompt"]["source"] == "…/p.j2"


def test_figures_that_do_not_follow_are_refused(made: Path, tmp_path: Path) -> None:
    def better(content: dict[str, Any]) -> None:
        content["metrics"]["pass@1"]["value"] = 0.99

    _edit(made / RESULTS, better)
    with pytest.raises(DataError, match="do not follow from the counts"):
        submit(made, tmp_path / "out", HOW, SOURCES)


def test_a_place_that_is_none_is_an_error_of_the_disk(made: Path, tmp_path: Path) -> None:
    """It was called a bug of the program."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        submit(made, tmp_path / "file", HOW, SOURCES)


def test_what_is_no_run_is_told_from_an_unfinished_one(made: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name one of them, for example"):
        submit(made.parent, tmp_path / "out", HOW, SOURCES)
    with pytest.raises(UsageError, match="not the folder of a run"):
        submit(made / RESULTS, tmp_path / "out", HOW, SOURCES)


def _identity_of(pack: Path, folder: Path) -> dict[str, Any]:
    unpack(pack, folder)
    found: dict[str, Any] = json.loads((folder / MANIFEST).read_text())["identity"]["model"]
    return found


def test_two_submissions_of_a_run_are_the_same_bytes(made: Path, tmp_path: Path) -> None:
    one, two = (submit(made, tmp_path / name, HOW, SOURCES) for name in ("one", "two"))
    assert one.pack.read_bytes() == two.pack.read_bytes()
    assert one.facts_file.read_bytes() == two.facts_file.read_bytes()


def test_what_does_not_belong_on_a_board_is_refused(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="of 1000 problems were asked"):
        submit(made, out, HOW, _Larger({}, ()))
    with pytest.raises(UsageError, match="--how needs"):
        submit(made, out, "  ", SOURCES)
    holes = make_run(tmp_path / "runs", "holes", 0.5, n=2, unscored=60)
    with pytest.raises(UsageError, match="of the samples are unscored"):
        submit(holes, out, HOW, SOURCES)
    built_in = make_run(tmp_path / "runs", "built in", 1.0, n=2, backend="baseline")
    with pytest.raises(UsageError, match="built-in answers"):
        submit(built_in, out, HOW, SOURCES)
    named = make_run(tmp_path / "runs", "p", 0.5, n=2, identity={"weights": "/home/ada/m/final"})
    with pytest.raises(UsageError, match="identity, which cannot be changed"):
        submit(named, out, HOW, SOURCES)
    (made / RESULTS).unlink()
    with pytest.raises(DataError, match="not finished"):
        submit(made, out, HOW, SOURCES)
    assert not out.exists()


def test_a_token_in_an_answer_is_pointed_at(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "runs", "m", 0.5, n=2, texts=["", "hf_abcdefghijklmnopqrst"])
    [warning] = submit(folder, tmp_path / "out", HOW, SOURCES).warnings
    assert "looks like a token" in warning


def test_the_command_says_what_to_commit(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["leaderboard", "submit", str(made), "--how", HOW, "-o", str(tmp_path / "out")]
    assert cli.run(words) == ExitCode.OK
    shown = capsys.readouterr()
    pack, facts = map(Path, shown.out.splitlines())
    assert pack.is_file()
    assert facts.is_file()
    for command in ("leaderboard review", "git switch -c", "git add", "git commit -m", "git push"):
        assert command in shown.err
    assert cli.run(words) == ExitCode.USAGE


# The review of a pull request ------------------------------------------------------------------


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run of right, stale and missing answers, graded here; and its rows."""
    folder = tmp_path_factory.mktemp("graded")
    return graded_run(folder), folder / "rows.jsonl"


def _score_of(run: Path, *, passed: bool) -> int:
    lines = (run / SCORES).read_text().splitlines()
    scores = [json.loads(line) for line in lines]
    return next(
        number
        for number, score in enumerate(scores)
        if score["code"] and score["conditions"]["with_update"]["passed"] is passed
    )


def _forge_verdict(run: Path, rows: Path) -> None:
    def passing(score: dict[str, Any]) -> None:
        condition = score["conditions"]["with_update"]
        condition["passed"] = True
        condition["tests"] = [[name, "passed", ""] for name, _, _ in condition["tests"]]

    _edit(run / SCORES, passing, _score_of(run, passed=False))
    _graded_anew(run, rows)


def _forge_answer(run: Path, rows: Path) -> None:
    """Put another answer where a failing one was, and a record of a pass beside it."""
    from recode_eval.run.records import CompletionRecord

    line = _score_of(run, passed=False)
    score = json.loads((run / SCORES).read_text().splitlines()[line])
    completions = [json.loads(text) for text in (run / COMPLETIONS).read_text().splitlines()]
    place, completion = next(
        (number, one)
        for number, one in enumerate(completions)
        if (one["problem_id"], one["sample"]) == (score["problem_id"], score["sample"])
    )
    record = CompletionRecord.from_json(completion | {"text": "```python\nraise SystemExit\n```"})
    _edit(run / COMPLETIONS, lambda content: content.update(text=record.text), place)

    def follow(score: dict[str, Any]) -> None:
        score["completion"] = record.digest
        for condition in score["conditions"].values():
            condition["passed"] = True
            condition["tests"] = [[name, "passed", ""] for name, _, _ in condition["tests"]]

    _edit(run / SCORES, follow, line)
    _graded_anew(run, rows)


def _forge_data(run: Path, rows: Path) -> None:
    def other(content: dict[str, Any]) -> None:
        content["identity"]["data"] = content["task"]["data_hash"] = "0" * 64
        if "run" in content:
            content["run"] = identity_hash(content["identity"])

    for name in (MANIFEST, RESULTS):
        _edit(run / name, other)


def _graded_anew(run: Path, rows: Path) -> None:
    """Let counts and figures agree with the forged records."""
    done = bare("score", str(run), "--data", f"arena={rows}")
    assert done.returncode == 0, done.stderr


FORGERIES = {"verdict": _forge_verdict, "answer": _forge_answer, "data": _forge_data}


@pytest.fixture(scope="module")
def packs(
    graded: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Path]]:
    """The rows, and the pack of each kind; its facts lie beside it."""
    run, rows = graded
    out = tmp_path_factory.mktemp("packs")
    found = {}
    sources = Sources({"arena": str(rows)}, ())
    for name, forge in {"honest": None, **FORGERIES}.items():
        copy = out / name / run.name
        shutil.copytree(run, copy)
        if forge is not None:
            forge(copy, rows)
        found[name] = submit(copy, out / f"{name}-out", HOW, sources).pack
    return rows, found


def _proposed(tmp_path: Path, packs: dict[str, Path]) -> tuple[Path, Path]:
    """Return checkouts of the base and of a pull request that adds these packs."""
    base, proposed = tmp_path / "base", tmp_path / "proposed"
    for checkout in (base, proposed):
        folder = checkout / "leaderboard" / "submissions"
        folder.mkdir(parents=True)
        shutil.copy(ROOT / "leaderboard" / "submissions" / "README.md", folder)
    for name, pack in packs.items():
        facts = json.loads(pack.with_name(f"{pack.name.removesuffix('.tar.zst')}.json").read_text())
        shutil.copy(pack, folder / f"{name}.tar.zst")
        (folder / f"{name}.json").write_text(json.dumps(facts | {"file": f"{name}.tar.zst"}))
    return base, proposed


def _reviewed(tmp_path: Path, base: Path, proposed: Path, rows: Path) -> tuple[int, str]:
    """Run the step of the workflow, without a sandbox of its own; return its code and report."""
    program = tmp_path / "program"
    program.write_text(
        f'#!/bin/sh\nexec {sys.executable} -m recode_eval "$@" --i-know-this-is-unsafe '
        f"--workers 1 --share 1 --data arena={rows}\n"
    )
    program.chmod(0o755)
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "RECODE_EVAL": str(program), "SANDBOX": "none",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "step.md"),
    }  # fmt: skip
    done = subprocess.run(
        [ROOT / ".github/review-submissions", base, proposed, "0f3c", tmp_path / "report"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    report = (tmp_path / "report" / "report.md").read_text()
    assert (tmp_path / "step.md").read_text() == report
    return done.returncode, report


@pytest.mark.slow
def test_an_honest_pull_request_passes(packs: tuple[Path, dict[str, Path]], tmp_path: Path) -> None:
    rows, found = packs
    base, proposed = _proposed(tmp_path, {"honest": found["honest"]})
    code, report = _reviewed(tmp_path, base, proposed, rows)
    assert (code, "### `honest.tar.zst`: sound\n" in report) == (0, True), report
    assert "18 of 18 samples graded again" in report


@pytest.mark.slow
def test_forged_packs_are_found_beside_an_honest_one(
    packs: tuple[Path, dict[str, Path]], tmp_path: Path
) -> None:
    """Attack: verdicts edited, answers edited, another data set, and facts that promise more."""
    rows, found = packs
    base, proposed = _proposed(tmp_path, found | {"facts": found["honest"]})
    folder = proposed / "leaderboard" / "submissions"
    _edit(folder / "facts.json", lambda facts: facts.update(value=0.99, model="another"))
    (folder / "torn.tar.zst").write_bytes(found["honest"].read_bytes()[:-20])
    (folder / "run.sh").write_text("rm -rf /\n")
    code, report = _reviewed(tmp_path, base, proposed, rows)
    assert code == ExitCode.CHECK_FAILED
    assert "### `honest.tar.zst`: sound\n" in report
    for name in (*FORGERIES, "facts", "torn"):
        assert f"### `{name}.tar.zst`: NOT sound\n" in report, name
    assert "verdict: `" in report
    assert 'model is "another"' in report
    assert "1 other files were added or changed" in report


@pytest.mark.slow
def test_packs_that_were_there_are_not_reviewed_again(
    packs: tuple[Path, dict[str, Path]], tmp_path: Path
) -> None:
    rows, found = packs
    base, proposed = _proposed(tmp_path, {"honest": found["honest"]})
    for file in (proposed / "leaderboard" / "submissions").iterdir():
        shutil.copy(file, base / "leaderboard" / "submissions")
    assert _reviewed(tmp_path, base, proposed, rows)[1].count("adds no pack") == 1
    (tmp_path / "step.md").unlink()
    facts = proposed / "leaderboard" / "submissions" / "honest.json"
    _edit(facts, lambda content: content.update(value=0.99))
    code, report = _reviewed(tmp_path, base, proposed, rows)
    assert code == ExitCode.CHECK_FAILED
    assert "### `honest.tar.zst`: NOT sound\n" in report


FAKE_GH = """#!/bin/sh
echo "$@" >> "$LOG"
case "$*" in
  *pulls\\?state=open*) echo 7 ;;
  */pulls/7/files*) cat "$FILES" ;;
  */issues/7/comments*GET*|*--paginate*comments*) echo "$COMMENT" ;;
  *body=@*)
    for word in "$@"; do
      case $word in body=@*) cat "${word#body=@}" > "$BODY" ;; esac
    done ;;
esac
"""


@pytest.mark.parametrize("comment", ["", "41"])
@pytest.mark.parametrize("honest", [True, False])
def test_the_comment_trusts_no_changed_workflow(honest: bool, comment: str, tmp_path: Path) -> None:
    """A pull request runs its own copy of a workflow, which could write any report."""
    for name, text in {
        "gh": FAKE_GH,
        "report.md": "all is sound\n",
        "files": "leaderboard/submissions/a.json\n"
        + ("" if honest else ".github/workflows/submissions.yml\n"),
    }.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "gh").chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "REPOSITORY": "o/p", "HEAD": "0f3c",
        "REPORT": str(tmp_path / "report.md"), "LOG": str(tmp_path / "log"), "COMMENT": comment,
        "FILES": str(tmp_path / "files"), "BODY": str(tmp_path / "body"),
    }  # fmt: skip
    script = ROOT / ".github/comment-on-submission"
    subprocess.run([script], env=environment, check=True)
    body = (tmp_path / "body").read_text()
    assert body.startswith("<!-- recode-eval: submitted runs -->\n")
    assert ("all is sound" in body) is honest
    assert ("by hand" in body) is not honest
    method = "PATCH repos/o/p/issues/comments/41" if comment else "POST repos/o/p/issues/7/comments"
    assert f"--method {method}" in (tmp_path / "log").read_text()


def _workflow(name: str) -> dict[str, Any]:
    return cast("dict[str, Any]", yaml.safe_load((ROOT / ".github/workflows" / name).read_text()))


def test_the_job_that_grades_has_no_right_to_write() -> None:
    """The job that runs submitted programs and the one that may comment are two."""
    grades, comments = _workflow("submissions.yml"), _workflow("submission-comment.yml")
    assert grades["permissions"] == {"contents": "read"}
    assert "secrets" not in (ROOT / ".github/workflows/submissions.yml").read_text()
    assert "pull_request_target" not in str(grades) + str(comments)
    [job] = comments["jobs"].values()
    assert job["permissions"]["pull-requests"] == "write"
    assert not any("recode-eval" in str(step.get("run")) for step in job["steps"])
    checkouts = [
        step["with"]["persist-credentials"]
        for flow in (grades, comments)
        for step in next(iter(flow["jobs"].values()))["steps"]
        if "checkout" in step.get("uses", "")
    ]
    assert checkouts == [False] * 3
    for step in grades["jobs"]["review"]["steps"]:
        assert "${{" not in step.get("run", "")
