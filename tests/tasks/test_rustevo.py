"""RustEvo 2: what rows it takes, and that tests and the use of the API decide."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from recode_eval.errors import DataError
from recode_eval.languages import get_language
from recode_eval.sandbox import Limits, open_sandbox
from recode_eval.tasks.loading import load_task
from recode_eval.tasks.registry import create_task

if TYPE_CHECKING:
    from pathlib import Path

    from recode_eval.tasks.base import TaskData

TESTS = "#[cfg(test)] mod tests { use super::*; #[test] fn t() { assert_eq!(flip(1), -1); } }"


def row(number: int = 0, **changes: Any) -> dict[str, Any]:
    usual = {
        "task_idx": number,
        "query": "Negate a number.",
        "function_signature": "fn flip(n: i32) -> i32",
        "code": "fn flip(n: i32) -> i32 { n.wrapping_neg() }",
        "test_program": TESTS,
    }
    return usual | changes


def api(**changes: Any) -> dict[str, Any]:
    usual = {
        "name": "wrapping_neg",
        "module": "core::num",
        "from_version": "1.79.0",
        "to_version": "1.80.0",
        "change_type": "implicit",
        "signature": "pub const fn wrapping_neg(self) -> Self",
        "documentation": None,
    }
    return usual | changes


def load(
    folder: Path, *pairs: tuple[dict[str, Any], dict[str, Any]], skip: bool = False
) -> TaskData:
    (folder / "rows.json").write_text(json.dumps([one for one, _ in pairs]), encoding="utf-8")
    (folder / "APIDocs.json").write_text(json.dumps([one for _, one in pairs]), encoding="utf-8")
    return create_task("rustevo").load(str(folder / "rows.json"), skip_bad_rows=skip)


def test_a_row_and_its_api_make_a_problem(tmp_path: Path) -> None:
    [problem] = load(tmp_path, (row(), api())).problems
    assert (problem.id, problem.cluster) == ("rustevo-0", "core::num::wrapping_neg")
    assert problem.tags == {"library": "core", "change": "implicit"}
    assert problem.context["version"] == "1.80.0"
    assert problem.entry_point == "flip"


def test_rows_that_cannot_run_are_set_aside_with_the_reason(tmp_path: Path) -> None:
    data = load(
        tmp_path,
        (row(0), api()),
        (row(1), api(crate="rand", module="")),
        (row(2, test_program="INCORRECT CODE"), api()),
        (row(3, test_program=""), api()),
    )
    assert [problem.id for problem in data.problems] == ["rustevo-0"]
    assert [str(one) for one in data.skipped] == [
        "rustevo-1: needs the crate rand, and no crates are installed",
        "rustevo-2: its published tests hold no Rust test",
        "rustevo-3: its published tests hold no Rust test",
    ]


def test_rows_set_aside_are_named_to_the_log(tmp_path: Path) -> None:
    """Only tasks that prepare said which rows they left out; the others kept it to themselves."""
    load(tmp_path, (row(0), api()), (row(1), api(crate="rand", module="")))
    lines: list[str] = []
    load_task("rustevo", tmp_path / "rows.json", log=lines.append)
    assert lines == [
        "skipped rustevo-1, cannot run here: needs the crate rand, and no crates are installed"
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"code": "def f(): pass"}, "code is not Rust"),
        ({"task_idx": "7"}, "task_idx must be a number"),
        ({"query": ""}, "the field query is empty"),
        ({"code": None}, "the field code is missing"),
    ],
)
def test_a_malformed_row_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(tmp_path, (row(**changes), api()))
    assert len(load(tmp_path, (row(1), api()), (row(**changes), api()), skip=True).problems) == 1


def test_files_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    load(tmp_path, (row(), api()))
    (tmp_path / "APIDocs.json").write_text("[]", encoding="utf-8")
    task = create_task("rustevo")
    with pytest.raises(DataError, match="belong together by position"):
        task.load(str(tmp_path / "rows.json"), skip_bad_rows=False)
    (tmp_path / "APIDocs.json").unlink()
    with pytest.raises(DataError, match="put them side by side"):
        task.load(str(tmp_path / "rows.json"), skip_bad_rows=False)
    with pytest.raises(DataError, match="needs the files of RustEvo 2"):
        task.load(None, skip_bad_rows=False)


def test_an_answer_without_the_api_has_a_test_more(tmp_path: Path) -> None:
    task = create_task("rustevo")
    [problem] = load(tmp_path, (row(), api())).problems
    [program] = task.programs(problem, "fn flip(n: i32) -> i32 { 0 - n }").values()
    assert [test.name for test in program.tests] == ["t", "uses_the_api"]
    [program] = task.programs(problem, problem.solutions["reference"]).values()
    assert [test.name for test in program.tests] == ["t"]
    assert task.measures(problem, "fn flip(n: i32) -> i32 { 0 - n }") == {"new_api": 0.0}
    assert task.measures(problem, None) == {"new_api": 0.0}
    [hidden] = load(tmp_path, (row(code="fn flip(n: i32) -> i32 { 0 - n }"), api())).problems
    assert task.measures(hidden, "fn flip(n: i32) -> i32 { n }") == {}


@pytest.mark.rust
def test_tests_and_use_decide(tmp_path: Path) -> None:
    task = create_task("rustevo")
    [problem] = load(tmp_path, (row(), api())).problems
    runtime = get_language("rust").runtime()
    with open_sandbox("landlock", environment="rust", workers=1, runtimes=[runtime]) as sandbox:
        for code, passes, detail in (
            (problem.solutions["reference"], True, ""),
            ("fn flip(n: i32) -> i32 { 0 - n }", False, "does not use core::num::wrapping_neg"),
            ("fn flip(n: i32) -> i32 { n.wrapping_neg() + 1 }", False, "left == right"),
        ):
            [program] = task.programs(problem, code).values()
            execution = sandbox.submit(program, Limits()).result(120)
            assert execution.passed is passes
            assert detail in " ".join(verdict.detail for verdict in execution.verdicts)


@pytest.mark.rust
@pytest.mark.exhaustive
def test_references_of_the_published_rows(shared_data: Path) -> None:
    """At least 95 % pass; what does not is named in docs/tasks.md."""
    data = create_task("rustevo").load(
        str(shared_data / "rustevo" / "dev.json"), skip_bad_rows=False
    )
    task, failed = create_task("rustevo"), []
    runtime = get_language("rust").runtime()
    with open_sandbox("landlock", environment="rust", runtimes=[runtime]) as sandbox:
        waiting = []
        for problem in data.problems:
            [program] = task.programs(problem, problem.solutions["reference"]).values()
            waiting.append((problem.id, sandbox.submit(program, Limits())))
        failed = [key for key, future in waiting if not future.result(600).passed]
    assert set(failed) <= {f"rustevo-{number}" for number in (114, 122, 304, 366)}
    assert len(data.problems) == 183
