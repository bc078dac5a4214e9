"""What a run lacks is found at once, before anything is paid for."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("openai", reason="needs pip install 'recode-eval[openai]'")

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))

from arena_rows import REFERENCE, write_rows
from batch_server import BatchServer
from protocol_server import answer
from stored_runs import KnownSandbox

from recode_eval import cli
from recode_eval.errors import (
    DataError,
    ExitCode,
    InfrastructureError,
    StorageError,
    UsageError,
)
from recode_eval.run.findings import Findings

if TYPE_CHECKING:
    from collections.abc import Iterator

PROBLEMS = 4


class Planned:
    """A server, rows, and a command line whose checks alone are asked for."""

    def __init__(self, server: BatchServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.rows = write_rows(folder / "rows.jsonl", PROBLEMS)
        self.options = {
            "--model": "tiny",
            "--tasks": "arena",
            "--n": "2",
            "--max-tokens": "20",
            "--base-url": server.url,
            "--max-retries": "0",
            "--data": f"arena={self.rows}",
            "--sandbox": "landlock",
            "--out": str(folder / "runs"),
        }

    def run(self, *more: str, **changed: str) -> int:
        options = self.options | {f"--{key.replace('_', '-')}": v for key, v in changed.items()}
        return cli.run([*(word for item in options.items() for word in item), *more])


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Planned]:
    known = KnownSandbox("landlock")
    monkeypatch.setattr("recode_eval.sandbox.open_router", lambda *_, **__: known)
    monkeypatch.setattr("recode_eval.sandbox.landlock.reason_against", lambda: None)
    with BatchServer() as server:
        server.always = partial(answer, text=f"```python\n{REFERENCE}```")
        yield Planned(server, tmp_path)


def test_a_preflight_asks_for_nothing_and_says_what_will_be_asked(
    plan: Planned, capsys: pytest.CaptureFixture[str]
) -> None:
    prices = plan.folder / "prices.yaml"
    prices.write_text(
        "currency: EUR\nmodels:\n"
        "  - {model: tiny, as_of: 2026-01-31, source: a list, input: 100, output: 200}\n"
    )
    more = ("--preflight", "--json", "--prices", str(prices))
    assert plan.run(*more) == ExitCode.OK
    found = json.loads(capsys.readouterr().out)
    assert found["errors"] == []
    assert (found["requests"], found["stored"]) == (2 * PROBLEMS, 0)
    assert found["answer_tokens"] == 2 * PROBLEMS * 20
    cost = (found["prompt_tokens"] * 100 + found["answer_tokens"] * 200) / 1e6
    assert found["most_it_costs"] == pytest.approx(cost)
    assert plan.server.requests == []
    assert not (plan.folder / "runs").exists()
    assert plan.run(n="1") == ExitCode.OK
    capsys.readouterr()
    assert plan.run(*more) == ExitCode.OK
    found = json.loads(capsys.readouterr().out)
    assert (found["requests"], found["stored"]) == (PROBLEMS, PROBLEMS)
    assert plan.run("--preflight") == ExitCode.OK
    assert "cost: unknown (no price of tokens)" in capsys.readouterr().out


def test_all_that_is_missing_is_named_at_once(
    plan: Planned, capsys: pytest.CaptureFixture[str]
) -> None:
    """One after the other, each cost a run that ended after minutes."""
    bad = plan.folder / "prompt.jinja2"
    bad.write_text("{{ nothing_like_it }}")
    blocked = plan.folder / "file"
    blocked.write_text("")
    code = plan.run(
        "--max-cost", "1", "--prices", str(plan.folder / "none.yaml"),
        prompt=str(bad), model="other", sandbox="none", out=str(blocked / "runs"),
    )  # fmt: skip
    told = capsys.readouterr().err
    assert code == ExitCode.USAGE
    assert "5 things are in the way: (1) " in told
    for words in ("Cannot write runs below", "Cannot read the prices", "no model 'other'",
                  "nothing_like_it", "--i-know-this-is-unsafe"):  # fmt: skip
        assert words in told
    assert plan.server.requests == []


def test_an_unknown_arm_hides_nothing_else(
    plan: Planned, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ended the preflight at once, without JSON and without a word on what else was missing."""
    code = plan.run("--preflight", "--json", docs="nope", tasks="arena,nope", prices="nowhere.yaml")
    assert code == ExitCode.USAGE
    told = [item["message"] for item in json.loads(capsys.readouterr().out)["errors"]]
    assert len(told) == 3
    assert "documentation arm 'nope'" in told[0]


def test_several_tasks_are_all_checked(plan: Planned, capsys: pytest.CaptureFixture[str]) -> None:
    code = plan.run("--preflight", tasks="arena,no-such-task,arenna")
    out = capsys.readouterr().out
    assert code == ExitCode.USAGE
    assert "no-such-task" in out
    assert "Did you mean arena" in out
    assert f"requests: {2 * PROBLEMS}" in out


def test_prompts_that_do_not_fit_are_counted_and_do_not_end_the_run(
    plan: Planned, capsys: pytest.CaptureFixture[str]
) -> None:
    plan.server.context = 100
    assert plan.run() == ExitCode.OK
    assert f"arena: {PROBLEMS} of {PROBLEMS} prompts (the longest has about" in (
        capsys.readouterr().err
    )


def test_a_server_without_batch_jobs_is_named_before_a_run(
    plan: Planned, capsys: pytest.CaptureFixture[str]
) -> None:
    plan.server.list_of_batches = 404
    assert plan.run("--batch") == ExitCode.USAGE
    assert "has no batch jobs" in capsys.readouterr().err
    assert plan.server.files == {}


def test_a_budget_needs_a_price_before_a_run(
    plan: Planned, capsys: pytest.CaptureFixture[str]
) -> None:
    prices = plan.folder / "prices.yaml"
    prices.write_text(
        "currency: EUR\nmodels:\n"
        "  - {model: large, as_of: 2026-01-31, source: a list, input: 100, output: 200}\n"
    )
    assert plan.run("--max-cost", "1", "--prices", str(prices)) == ExitCode.USAGE
    assert "needs to know what tiny costs" in capsys.readouterr().err
    assert plan.server.requests == []


def test_a_complete_run_needs_no_sandbox(plan: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a sandbox shows the results of a run that is graded already."""
    assert plan.run() == ExitCode.OK

    def none(*_: object, **__: object) -> None:
        raise AssertionError("the sandbox was opened")

    monkeypatch.setattr("recode_eval.sandbox.open_router", none)
    assert plan.run() == ExitCode.OK


def test_a_folder_that_cannot_be_written_is_named(
    plan: Planned, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    assert plan.run("--preflight") == ExitCode.IO
    assert "no permission" in capsys.readouterr().out


def test_a_checkpoint_is_not_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    words = ["--model", "transformers:/no/such/model", "--tasks", "arena-mini", "--limit", "2"]
    code = cli.run([*words, "--preflight", "--sandbox", "none", "--out", str(tmp_path)])
    out = capsys.readouterr().out
    assert code == ExitCode.USAGE
    assert "add --i-know-this-is-unsafe" in out
    assert "the checkpoint is not loaded" in out


USAGE, DATA = UsageError("a"), DataError("b")
MACHINE, DISK = InfrastructureError("c"), StorageError("d")


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ([MACHINE, DATA, USAGE], UsageError),
        ([DISK, DATA], DataError),
        ([DISK, MACHINE], InfrastructureError),
        ([DISK, StorageError("e")], StorageError),
    ],
)
def test_the_kind_of_several_errors_follows_one_rule(errors: list[Any], kind: type) -> None:
    error = Findings(errors).error
    assert type(error) is kind
    assert all(str(one) in str(error) for one in errors)


def test_one_error_stays_as_it_is() -> None:
    assert Findings([DISK]).error is DISK
    assert Findings().error is None
    Findings().raise_if_any()
