"""Whole runs with prices, budgets and batch jobs, by the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("openai", reason="needs pip install 'recode-eval[openai]'")

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS / "models"))

from arena_rows import REFERENCE, STALE, write_rows  # noqa: E402
from batch_server import BatchServer, answered  # noqa: E402
from protocol_server import answer  # noqa: E402
from stored_runs import KnownSandbox  # noqa: E402

from recode_eval import cli  # noqa: E402
from recode_eval.errors import ExitCode  # noqa: E402
from recode_eval.models import openai_batch  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

PROBLEMS = 4
RIGHT, WRONG = (f"```python\n{code}```" for code in (REFERENCE, STALE))
PRICES = """\
currency: EUR
models:
  - {model: tiny, as_of: 2026-01-31, source: a list, input: 100, output: 200, batch: 0.5}
"""
ONE = 0.0013
"""What an answer of the protocol server costs: 7 tokens of the prompt and 3 of its own."""


class Paid:
    """A server, rows, prices, and the command line that evaluates the one by the others."""

    def __init__(self, server: BatchServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        rows = write_rows(folder / "rows.jsonl", PROBLEMS)
        (folder / "prices.yaml").write_text(PRICES)
        self.words = ["--model", "tiny", "--tasks", "arena", "--n", "2", "--max-tokens", "20"]
        self.words += ["--base-url", server.url, "--max-retries", "0", "--data", f"arena={rows}"]
        self.words += ["--sandbox", "landlock", "--out", str(folder / "runs")]

    def run(self, *more: str, prices: bool = True) -> int:
        priced = ["--prices", str(self.folder / "prices.yaml")] if prices else []
        return cli.run([*self.words, *priced, *more])

    @property
    def place(self) -> Path:
        (file,) = self.folder.glob("runs/*/*/manifest.json")
        return file.parent

    @property
    def results(self) -> dict[str, Any]:
        return json.loads((self.place / "results.json").read_text())

    @property
    def stored(self) -> Counter[tuple[str, int]]:
        lines = (self.place / "completions.jsonl").read_text().splitlines()
        return Counter((r["problem_id"], r["sample"]) for r in map(json.loads, lines))


@pytest.fixture
def paid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Paid]:
    monkeypatch.setattr(
        "recode_eval.sandbox.open_router", lambda *_, **__: KnownSandbox("landlock")
    )
    monkeypatch.setattr(openai_batch, "FIRST_WAIT", 0.001)
    with BatchServer() as server:
        server.always = partial(answer, text=RIGHT)
        server.answer = partial(answered, text=RIGHT)
        yield Paid(server, tmp_path)


def test_results_and_table_say_what_a_run_cost(
    paid: Paid, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = iter([RIGHT] * 6 + [WRONG] * 2)
    lock = threading.Lock()

    def behave(handler: Any, body: dict[str, Any]) -> None:
        with lock:
            text = next(texts)
        answer(handler, body, text=text)

    paid.server.always = behave
    assert paid.run() == ExitCode.OK
    cost = paid.results["usage"]["cost"]
    assert cost == {
        "currency": "EUR",
        "total": pytest.approx(8 * ONE),
        "per_sample": pytest.approx(ONE),
        "per_solved": pytest.approx(8 * ONE / 6, rel=1e-6),
        "as_of": "2026-01-31",
        "source": "a list",
    }
    shown = capsys.readouterr().out
    assert "0.0104 EUR" in shown
    assert "cost per solved" in shown
    assert "price of 2026-01-31 (a list)" in shown


def test_prices_are_no_part_of_the_identity_and_survive_scoring(paid: Paid) -> None:
    assert paid.run(prices=False) == ExitCode.OK
    place = paid.place
    assert paid.results["usage"]["cost"] is None
    assert "pricing" not in json.loads((place / "manifest.json").read_text())
    assert paid.run() == ExitCode.OK
    assert paid.place == place
    assert len(paid.server.requests) == 2 * PROBLEMS  # nothing was asked again
    first = paid.results["usage"]["cost"]
    data = f"arena={paid.folder / 'rows.jsonl'}"
    score = ["score", str(place), "--data", data]
    assert cli.run(score) == ExitCode.OK
    assert paid.results["usage"]["cost"] == first
    other = paid.folder / "other.yaml"
    other.write_text(PRICES.replace("input: 100", "input: 200").replace("2026-01-31", "2026-02-01"))
    assert cli.run([*score, "--prices", str(other)]) == ExitCode.OK
    changed = paid.results["usage"]["cost"]
    assert (changed["as_of"], changed["total"]) == ("2026-02-01", pytest.approx(8 * 0.002))
    assert cli.run(score) == ExitCode.OK
    assert paid.results["usage"]["cost"] == changed


@pytest.mark.parametrize("stored", [[], "x", {}, {"price": 3, "unknown": ""},
                                    {"price": {"input": "nan"}, "unknown": ""}])  # fmt: skip
def test_a_damaged_price_is_named_and_can_be_given_again(
    paid: Paid, stored: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paid.run("--limit", "1") == ExitCode.OK
    manifest = json.loads((paid.place / "manifest.json").read_text())
    (paid.place / "manifest.json").write_text(json.dumps({**manifest, "pricing": stored}))
    score = ["score", str(paid.place), "--data", f"arena={paid.folder / 'rows.jsonl'}"]
    assert paid.run("--limit", "1", prices=False) == ExitCode.DATA
    assert "`pricing` is malformed" in capsys.readouterr().err
    assert cli.run(score) == ExitCode.DATA
    assert cli.run([*score, "--prices", str(paid.folder / "prices.yaml")]) == ExitCode.OK
    assert paid.results["usage"]["cost"]["currency"] == "EUR"


def test_a_model_without_a_price_has_no_cost_and_says_so(
    paid: Paid, capsys: pytest.CaptureFixture[str]
) -> None:
    (paid.folder / "prices.yaml").write_text(PRICES.replace("tiny", "large"))
    assert paid.run() == ExitCode.OK
    usage = paid.results["usage"]
    assert (usage["cost"], usage["cost_unknown"]) == (
        None, "no entry of the prices matches the model's name",
    )  # fmt: skip
    assert "cost is unknown: no entry" in capsys.readouterr().out


def test_a_server_without_counts_has_no_cost(paid: Paid) -> None:
    body = {"choices": [{"message": {"content": RIGHT}}]}
    paid.server.always = lambda handler, _: handler.send(200, body)
    assert paid.run() == ExitCode.OK
    assert "does not say how many tokens" in paid.results["usage"]["cost_unknown"]


def test_thoughts_and_cached_tokens_are_counted(paid: Paid) -> None:
    usage = {
        "prompt_tokens": 7,
        "completion_tokens": 3,
        "completion_tokens_details": {"reasoning_tokens": 2},
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    body = {"choices": [{"message": {"content": RIGHT}}], "usage": usage}
    paid.server.always = lambda handler, _: handler.send(200, body)
    assert paid.run() == ExitCode.OK
    found = paid.results["usage"]
    assert (found["reasoning_tokens"], found["cached_tokens"]) == (16, 32)


@pytest.mark.parametrize("details", [[], "x", {"reasoning_tokens": -1}, {"reasoning_tokens": 99},
                                     {"reasoning_tokens": True}, {"reasoning_tokens": 1.5}])  # fmt: skip  # noqa: E501
def test_odd_counts_are_left_out(paid: Paid, details: Any) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "completion_tokens_details": details}
    body = {"choices": [{"message": {"content": RIGHT}}], "usage": usage}
    paid.server.always = lambda handler, _: handler.send(200, body)
    assert paid.run("--limit", "1") == ExitCode.OK
    assert paid.results["usage"]["reasoning_tokens"] is None


def test_tokens_are_limited_over_all_invocations(
    paid: Paid, capsys: pytest.CaptureFixture[str]
) -> None:
    worst = _worst_case(paid)
    limit = str(worst + 15)  # one at its worst, or two as they are
    assert paid.run("--max-tokens-total", limit) == ExitCode.INCOMPLETE
    asked = len(paid.server.requests)
    assert asked == 2
    results = paid.results
    assert results["counts"]["unscored"] == 2 * PROBLEMS - asked
    assert {item["reason"] for item in results["unscored"]} == {
        (
            f"the budget of {limit} tokens leaves no room for another request; raise it and repeat "
            "the command"
        )
    }
    assert "raise it and repeat the command" in capsys.readouterr().out
    assert paid.run("--max-tokens-total", limit) == ExitCode.INCOMPLETE
    assert len(paid.server.requests) == asked  # what is stored counts
    assert paid.run("--max-tokens-total", str(worst + 80)) == ExitCode.OK
    assert len(paid.server.requests) == 2 * PROBLEMS
    assert set(paid.stored.values()) == {1}


def _worst_case(paid: Paid) -> int:
    """The estimate of the longest prompt, and the longest answer."""
    from recode_eval.costs.spending import estimate_tokens
    from recode_eval.run.config import RunConfig
    from recode_eval.run.session import load_configured, prompt_settings

    rows = {"arena": str(paid.folder / "rows.jsonl")}
    config = RunConfig(model="tiny", tasks=["arena"], data=rows)
    [loaded] = load_configured(config, lambda _: None)
    settings, _ = prompt_settings(config, loaded.task)
    prompts = [settings.render(problem) for problem in loaded.data.problems]
    return max(map(estimate_tokens, prompts)) + 20


def test_money_is_limited_and_repeats_share_the_budget(paid: Paid) -> None:
    worst = (_worst_case(paid) - 20) * 100 / 1e6 + 20 * 200 / 1e6
    limit = f"{worst + 9.5 * ONE:.6f}"
    assert paid.run("--max-cost", limit, "--repeats", "2") == ExitCode.INCOMPLETE
    asked = len(paid.server.requests)
    assert asked * ONE <= float(limit)
    assert asked >= 10
    assert paid.run("--max-cost", limit, "--repeats", "2") == ExitCode.INCOMPLETE
    assert len(paid.server.requests) == asked
    assert paid.run("--max-cost", "9", "--repeats", "2") == ExitCode.OK
    assert len(paid.server.requests) == 4 * PROBLEMS


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--max-cost", "1"], "needs prices"),
        (["--request", "n=3"], "give --n"),
        (["--request", "api_key=x"], "looks like a secret"),
        (["--request", 'metadata={"Authorization": "x"}'], "looks like a secret"),
        (["--request", "metadata=Bearer x"], "looks like a secret"),
        (["--request", "extra_headers={}"], "headers are not sent"),
        (["--request", "oops"], "write NAME=VALUE"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    paid: Paid, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paid.run(*words, prices=False) == ExitCode.USAGE
    assert said in capsys.readouterr().err
    assert paid.server.requests == []


def test_request_parameters_are_sent_and_tell_models_apart(
    paid: Paid, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paid.run("--request", "reasoning_effort=high", "--request", "top_k=20") == ExitCode.OK
    assert {(b["reasoning_effort"], b["top_k"]) for b in paid.server.requests} == {("high", 20)}
    expected = {"reasoning_effort": "high", "top_k": 20}
    assert paid.results["identity"]["model"]["request"] == expected
    assert "tiny (reasoning_effort=high, top_k=20)" in capsys.readouterr().out
    assert paid.run() == ExitCode.OK
    assert len(list(paid.folder.glob("runs/*/*/manifest.json"))) == 2


def test_other_back_ends_refuse_request_parameters_and_batches(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", "baseline:reference", "--tasks", "arena-mini", "--out", str(tmp_path)]
    assert cli.run([*words, "--request", "reasoning_effort=high"]) == ExitCode.USAGE
    assert "does not support the option request" in capsys.readouterr().err
    assert cli.run([*words, "--batch"]) == ExitCode.USAGE
    assert "--batch is for servers with batch jobs" in capsys.readouterr().err


def test_a_run_by_batch_jobs_costs_less(paid: Paid, tmp_path: Path) -> None:
    assert paid.run("--batch") == ExitCode.OK
    assert paid.results["usage"]["cost"]["total"] == pytest.approx(8 * ONE / 2)
    assert paid.results["metrics"]["pass@1"]["value"] == 1.0
    assert paid.server.requests == []
    pack = tmp_path / "run.tar.zst"
    assert cli.run(["pack", str(paid.place), "--out", str(pack)]) == ExitCode.OK
    assert cli.run(["pack", "--extract", str(pack), "--out", str(tmp_path / "x")]) == ExitCode.OK
    journal = (paid.place / "batches.json").read_bytes()
    assert (tmp_path / "x" / "batches.json").read_bytes() == journal


_SCRIPT = """
import sys
from recode_eval.models import openai_batch
openai_batch.FIRST_WAIT = 0.005
from stored_runs import KnownSandbox
import recode_eval.sandbox
recode_eval.sandbox.open_router = lambda *_, **__: KnownSandbox("landlock")
import os, signal
from recode_eval.run.store import RunStore
add, left = RunStore.add_completion, [int(os.environ.get("RECORDS", "99"))]
def add_and_die(self, record):
    place = add(self, record)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return place
RunStore.add_completion = add_and_die
from recode_eval import cli
sys.exit(cli.run(sys.argv[1:]))
"""


def _kill_at(
    wanted: tuple[str, str], process: list[Any], ready: threading.Event, what: str, phase: str
) -> bool:
    """Kill the process at a moment; True: the request is lost with it."""
    if (what, phase) != wanted:
        return False
    ready.wait(30)
    process[0].kill()
    process[0].wait(30)
    return True


@pytest.mark.slow
def test_a_process_killed_at_any_moment_pays_nothing_twice(paid: Paid) -> None:
    """The kernel kills the command before or after the server handles each kind of request."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    command = [sys.executable, "-c", _SCRIPT, *paid.words, "--batch", "--quiet"]
    moments = [
        ("upload", "before"), ("upload", "after"), ("create", "before"), ("create", "after"),
        ("list", "after"), ("poll", "before"), ("poll", "after"), ("download", "before"),
        ("download", "after"),
    ]  # fmt: skip
    server = paid.server
    for wanted in moments:
        process: list[subprocess.Popen[bytes]] = []
        ready = threading.Event()

        server.moment = partial(_kill_at, wanted, process, ready)
        process.append(subprocess.Popen(command, env=environment))
        ready.set()
        assert process[0].wait(60) == -9, wanted
    server.moment = lambda *_: None
    for records in ("1", "3"):  # it is killed with a part of the answers stored
        dying = {**environment, "RECORDS": records}
        assert subprocess.run(command, env=dying, check=False, timeout=60).returncode == -9
    assert sum(paid.stored.values()) == 4
    assert subprocess.run(command, env=environment, check=False, timeout=60).returncode == 0
    assert set(server.paid.values()) == {1}
    assert len(server.paid) == 2 * PROBLEMS
    assert set(paid.stored.values()) == {1}
    assert paid.results["counts"]["scored"] == 2 * PROBLEMS
