"""Whole runs against a server: what is unscored, what is reused, and what the user is told."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("openai", reason="needs pip install 'recode-eval[openai]'")

from arena_rows import REFERENCE, write_rows
from protocol_server import ProtocolServer, answer, fail
from stored_runs import KnownSandbox

from recode_eval import cli
from recode_eval.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROBLEMS = 4
RIGHT = partial(answer, text=f"```python\n{REFERENCE}```")


class Served:
    """A server, rows, and the command line that evaluates the one by the other."""

    def __init__(self, server: ProtocolServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        rows = write_rows(folder / "rows.jsonl", PROBLEMS)
        self.where = ["--base-url", server.url, "--max-retries", "0", "--data", f"arena={rows}"]
        self.where += ["--sandbox", "landlock"]

    def run(self, *more: str) -> int:
        words = ["--model", "tiny", "--tasks", "arena", "--n", "1", *self.where]
        return cli.run([*words, "--out", str(self.folder / "runs"), *more])

    @property
    def results(self) -> dict[str, Any]:
        (file,) = self.folder.glob("runs/*/*/results.json")
        return json.loads(file.read_text())


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    sandbox = KnownSandbox("landlock")
    monkeypatch.setattr("recode_eval.sandbox.open_router", lambda *_, **__: sandbox)
    with ProtocolServer() as server:
        server.always = RIGHT
        yield Served(server, tmp_path)


def test_a_refused_prompt_is_unscored_and_tried_again(served: Served) -> None:
    """The first prompt that a content filter refused ended every run of a task for ever."""
    refusal = fail(400, "blocked by our content policy")
    prompts: list[str] = []

    def behave(handler: Any, body: dict[str, Any]) -> None:
        prompt = body["messages"][-1]["content"]
        prompts.append(prompt)
        (refusal if len(prompts) == 2 else RIGHT)(handler, body)

    served.server.always = behave
    assert served.run("--concurrency", "1") == ExitCode.INCOMPLETE
    counts = served.results["counts"]
    assert (counts["scored"], counts["unscored"]) == (PROBLEMS - 1, 1)
    assert "blocked by our content policy" in json.dumps(served.results["unscored"])
    assert served.results["metrics"]["pass@1"]["value"] == 1.0
    served.server.always = RIGHT
    assert served.run() == ExitCode.OK
    assert served.results["counts"]["unscored"] == 0


def test_a_server_that_is_down_ends_the_run_at_once(served: Served) -> None:
    served.server.always = fail(500, "out of memory")
    assert served.run("--concurrency", "1") == ExitCode.UNAVAILABLE
    assert len(served.server.requests) == 2


def test_reused_answers_and_another_system_are_said(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model that replaced another one behind the same name got its answers without a word."""

    def system(name: str) -> Any:
        message = {"content": f"```python\n{REFERENCE}```"}
        body = {"choices": [{"message": message}], "system_fingerprint": name}
        return lambda handler, _: handler.send(200, body)

    served.server.always = system("fp_1")
    assert served.run() == 0
    assert "Reusing" not in capsys.readouterr().err
    served.server.always = system("fp_2")
    assert served.run("--n", "2") == 0
    said = " ".join(capsys.readouterr().err.split())
    assert f"Reusing {PROBLEMS} answers stored since" in said
    assert "choose another --out" in said
    assert "system_fingerprint was fp_1 and is fp_2 now" in said
    assert served.results["model"]["details"]["system_fingerprint"] == ["fp_1", "fp_2"]
    served.server.traits = {"root": "/models/other"}
    assert served.run() == 0
    assert len(list(served.folder.glob("runs/*/*/results.json"))) == 2


def test_a_gate_of_a_run_with_itself_is_refused(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    """It passed with no request at all, whatever was served under the name by then."""
    assert served.run("--n", "2") == 0
    (baseline,) = (file.parent for file in served.folder.glob("runs/*/*/results.json"))
    pack = served.folder / "baseline.tar.zst"
    assert cli.run(["pack", str(baseline), "--out", str(pack)]) == 0
    asked = len(served.server.requests)
    out = ["--out", str(served.folder / "gate")]
    for place in (baseline, baseline / "results.json", baseline.parent, pack):
        words = ["gate", "--baseline", str(place), "--model", "tiny", *served.where, *out]
        capsys.readouterr()
        assert cli.run([*words, "--runs", str(served.folder / "runs")]) == ExitCode.USAGE
        assert "compare them with themselves" in " ".join(capsys.readouterr().err.split())
    assert len(served.server.requests) == asked
    assert cli.run([*words, "--runs", str(served.folder / "again")]) in {0, 3}
    assert len(served.server.requests) > asked


def test_a_filtered_answer_is_said(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    served.server.always = partial(answer, text="def", finish="content_filter")
    assert served.run() == 0
    assert f"content filter cut off {PROBLEMS} answers" in " ".join(capsys.readouterr().err.split())


def test_an_empty_stop_string_is_refused(served: Served) -> None:
    """`--stop ""` emptied every answer."""
    assert served.run("--stop", "") == ExitCode.USAGE
    assert served.server.requests == []
