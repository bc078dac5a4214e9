"""Interrupting a run at any moment and giving the same command again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from arena_rows import REFERENCE, STALE, write_rows
from fake_sandbox import FakeSandbox

from recode_eval.errors import StorageError
from recode_eval.models.base import Completion, FinishReason, ModelInfo, SamplingParameters
from recode_eval.run.evaluation import Run
from recode_eval.run.progress import SilentMonitor
from recode_eval.run.prompts import PromptTemplate
from recode_eval.run.results import compute_results
from recode_eval.run.settings import PromptSettings, ScoringSettings, Selection
from recode_eval.run.store import COMPLETIONS, SCORES, RunStore
from recode_eval.sandbox.base import SandboxCrashError
from recode_eval.tasks.registry import create_task

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recode_eval.models.base import Request
    from recode_eval.sandbox.base import Program

pytestmark = pytest.mark.slow

SAMPLES, PROBLEMS = 4, 6


class SlowModel:
    """Answers one sample after the other and keeps a log of what it was asked for."""

    def __init__(self, log: Path, pause: float = 0.0, stop_after: int | None = None) -> None:
        self.info = ModelInfo("slow", "test", {"weights": "w"})
        self.log, self.pause, self.stop_after = log, pause, stop_after

    def generate(
        self, requests: Sequence[Request], parameters: SamplingParameters
    ) -> Iterator[Completion]:
        del parameters
        done = 0
        for request in requests:
            for sample, seed in zip(request.samples, request.seeds, strict=True):
                if done == self.stop_after:
                    raise KeyboardInterrupt
                time.sleep(self.pause)
                with self.log.open("a") as log:
                    log.write(json.dumps([request.problem_id, sample, seed]) + "\n")
                code = REFERENCE if sample % 2 else f"{STALE}# {sample}\n"
                text = f"</think>\n<answer>\n```python\n{code}```\n</answer>"
                yield Completion(request.problem_id, sample, text, FinishReason.STOP)
                done += 1

    def close(self) -> None:
        pass


def create_run(
    folder: Path,
    *,
    n: int = SAMPLES,
    temperature: float = 0.8,
    template: str = "{{ problem }} {% if update_note %}{{ docstring }}{% endif %}",
    rows: str = "rows.jsonl",
    update_note: bool = True,
    scoring: ScoringSettings | None = None,
    limit: int | None = None,
) -> Run:
    task = create_task("arena")
    return Run(
        task,
        task.load(str(folder / rows), skip_bad_rows=False),
        SlowModel(folder / "log").info,
        PromptSettings("test", PromptTemplate(template, "test"), "test", update_note=update_note),
        SamplingParameters(temperature=temperature),
        Selection(n, limit),
        scoring or ScoringSettings(),
        out=folder / "runs",
        monitor=SilentMonitor(),
    )


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_rows(tmp_path / "rows.jsonl", PROBLEMS)
    return tmp_path


def test_a_whole_run(folder: Path) -> None:
    run = create_run(folder)
    outcome = run.execute(SlowModel(folder / "log"), FakeSandbox)
    results = compute_results(outcome)
    assert results["counts"]["scored"] == SAMPLES * PROBLEMS
    assert results["counts"]["unscored"] == 0
    assert results["metrics"]["pass@1"]["value"] == pytest.approx(0.5)
    assert results["metrics"]["upass@1"]["value"] == pytest.approx(0.5)
    assert results["metrics"]["pass@5"] is None
    assert results["metrics"]["pass_without_update"]["value"] == 0
    assert [p["passed"] for p in results["problems"]] == [2] * PROBLEMS


def test_a_finished_run_does_nothing_again(folder: Path) -> None:
    first = create_run(folder).execute(SlowModel(folder / "log"), FakeSandbox)

    def no_sandbox() -> FakeSandbox:
        raise AssertionError("nothing is left to grade")

    again = create_run(folder).execute(SlowModel(folder / "log"), no_sandbox)
    assert again.scores == first.scores
    assert len(lines(folder / "log")) == SAMPLES * PROBLEMS


def test_more_samples_reuse_those_that_are_there(folder: Path) -> None:
    create_run(folder, n=2).execute(SlowModel(folder / "log"), FakeSandbox)
    outcome = create_run(folder, n=4).execute(SlowModel(folder / "log"), FakeSandbox)
    assert len(outcome.scores) == 4 * PROBLEMS
    assert max(Counter(map(str, lines(folder / "log"))).values()) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.7},
        {"template": "{{ problem }}."},
        {"update_note": False},
        {"rows": "other.jsonl"},
    ],
)
def test_changed_settings_reuse_nothing(folder: Path, change: dict[str, object]) -> None:
    content = (folder / "rows.jsonl").read_text().replace("Somebody", "Someone")
    (folder / "other.jsonl").write_text(content)
    first = create_run(folder)
    first.execute(SlowModel(folder / "log"), FakeSandbox)
    second = create_run(folder, **change)
    assert second.folder != first.folder
    second.execute(SlowModel(folder / "log"), FakeSandbox)
    assert len(lines(folder / "log")) == 2 * SAMPLES * PROBLEMS


def test_another_timeout_grades_again_without_the_model(folder: Path) -> None:
    from recode_eval.sandbox.base import Limits

    create_run(folder).execute(SlowModel(folder / "log"), FakeSandbox)
    sandbox = FakeSandbox()
    other = create_run(folder, scoring=ScoringSettings(Limits(cpu_s=3)))
    outcome = other.execute(SlowModel(folder / "log"), lambda: sandbox)
    assert len(outcome.scores) == SAMPLES * PROBLEMS
    assert sandbox.programs
    assert len(lines(folder / "log")) == SAMPLES * PROBLEMS


def test_verdicts_are_not_replaced_without_a_word(folder: Path) -> None:
    """Run again with `--isolation program`, a run kept its folder and had weaker verdicts."""
    said: list[str] = []

    class Listening(SilentMonitor):
        def log(self, text: str) -> None:
            said.append(text)

    for isolation in ("split", "split", "program"):
        run = create_run(folder, scoring=ScoringSettings(isolation=isolation))
        run.monitor = Listening()
        run.execute(SlowModel(folder / "log"), FakeSandbox)
    [told] = [text for text in said if "Grading differs" in text]
    assert "isolation was split, now program" in told


def test_the_same_code_is_executed_once(folder: Path) -> None:
    sandbox = FakeSandbox()
    create_run(folder).execute(SlowModel(folder / "log"), lambda: sandbox)
    # Per problem: the reference (samples 1 and 3) and two stale variants, under two conditions.
    assert len(sandbox.programs) == PROBLEMS * 3 * 2


def test_scores_of_two_tiers_are_never_mixed(folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        create_run(folder).execute(SlowModel(folder / "log", stop_after=9), FakeSandbox)
    outcome = create_run(folder).execute(
        SlowModel(folder / "log"), lambda: FakeSandbox(tier="another")
    )
    assert {record.tier for record in outcome.scores.values()} == {"another"}
    assert len(outcome.scores) == SAMPLES * PROBLEMS


def test_what_the_sandbox_could_not_grade_is_unscored_and_tried_again(folder: Path) -> None:
    """An infrastructure error must never count as a failure of the model."""

    def fail(program: Program) -> Exception | None:
        return (
            SandboxCrashError("the worker died twice") if "times=2" in program.candidate else None
        )

    outcome = create_run(folder).execute(SlowModel(folder / "log"), lambda: FakeSandbox(fail=fail))
    results = compute_results(outcome)
    assert results["counts"]["unscored"] == 2 * PROBLEMS
    assert results["counts"]["scored"] == 2 * PROBLEMS
    assert results["unscored"][0]["reason"] == "the worker died twice"
    assert results["unscored"][0]["flags"] == []
    assert results["counts"]["suspicious"] == 0
    flagged = [replace(item, flags=("frames",)) for item in outcome.unscored]
    results = compute_results(replace(outcome, unscored=tuple(flagged)))
    assert results["unscored"][0]["flags"] == ["frames"]
    assert results["counts"]["suspicious"] == 2 * PROBLEMS
    assert results["metrics"]["pass@1"]["value"] == 0
    results = compute_results(create_run(folder).execute(SlowModel(folder / "log"), FakeSandbox))
    assert results["counts"]["unscored"] == 0
    assert results["metrics"]["pass@1"]["value"] == pytest.approx(0.5)
    assert len(lines(folder / "log")) == SAMPLES * PROBLEMS


def test_a_bug_in_the_sandbox_stops_the_run(folder: Path) -> None:
    def fail(program: Program) -> Exception | None:
        del program
        return ZeroDivisionError("a bug, not a verdict")

    with pytest.raises(ZeroDivisionError):
        create_run(folder).execute(SlowModel(folder / "log"), lambda: FakeSandbox(fail=fail))


def test_a_faulty_row_does_not_count(folder: Path) -> None:
    path = folder / "rows.jsonl"
    rows = lines(path)
    rows[0]["imports"] = "import no_such_package"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    results = compute_results(create_run(folder).execute(SlowModel(folder / "log"), FakeSandbox))
    assert results["counts"]["faulty_problems"] == 1
    assert "no_such_package" in results["problems"][0]["faulty"]
    assert results["metrics"]["pass@1"]["problems"] == PROBLEMS - 1
    assert results["metrics"]["pass@1"]["value"] == pytest.approx(0.5)


@pytest.mark.parametrize("stop_after", [0, 1, 7, 23])
def test_an_interrupted_run_goes_on_where_it_was(folder: Path, stop_after: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        create_run(folder).execute(SlowModel(folder / "log", stop_after=stop_after), FakeSandbox)
    outcome = create_run(folder).execute(SlowModel(folder / "log"), FakeSandbox)
    assert len(outcome.scores) == SAMPLES * PROBLEMS
    assert max(Counter(map(str, lines(folder / "log"))).values()) == 1


def test_a_score_belongs_to_the_text_it_was_given_for(folder: Path) -> None:
    """A completion made anew (its line was lost) must not inherit the score of the old text.

    Scores were found by problem and sample alone; here the run dies between the new completion and
    its score.
    """
    create_run(folder).execute(SlowModel(folder / "log"), FakeSandbox)
    [path] = (folder / "runs").glob(f"*/*/{COMPLETIONS}")
    first, *others = path.read_text().splitlines(keepends=True)
    lost = json.loads(first)
    path.write_text("".join(others) + json.dumps({**lost, "text": "no code"}) + "\n")
    outcome = create_run(folder).execute(None, FakeSandbox)
    assert outcome.scores[lost["problem_id"], lost["sample"]].code is None
    assert len(lines(path.parent / SCORES)) == SAMPLES * PROBLEMS + 1


class SloppyModel(SlowModel):
    """Yields one sample twice, one that nobody asked for, and leaves one out."""

    def generate(
        self, requests: Sequence[Request], parameters: SamplingParameters
    ) -> Iterator[Completion]:
        first, *others = super().generate(requests, parameters)
        yield from others
        yield replace(others[0], text="a second answer")
        yield replace(first, problem_id="no such problem")


def test_a_sloppy_model_leaves_no_double_records(folder: Path) -> None:
    """The second answer was stored too, and which one counted depended on a restart."""
    outcome = create_run(folder).execute(SloppyModel(folder / "log"), FakeSandbox)
    assert len(outcome.completions) == SAMPLES * PROBLEMS - 1
    assert [item.reason for item in outcome.unscored] == ["the model gave no answer"]
    stored = lines(outcome.folder / COMPLETIONS)
    assert len(stored) == SAMPLES * PROBLEMS - 1
    assert "a second answer" not in {item["text"] for item in stored}
    results = compute_results(outcome)
    assert results["counts"]["unscored"] == 1
    assert results["counts"]["generated"] == SAMPLES * PROBLEMS - 1


def test_an_error_stops_the_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk ended the run, but the engine's stream stayed open and went on generating."""
    ended = []

    class Watched(SlowModel):
        def generate(
            self, requests: Sequence[Request], parameters: SamplingParameters
        ) -> Iterator[Completion]:
            try:
                yield from super().generate(requests, parameters)
            finally:
                ended.append(True)

    def full(self: RunStore, record: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(RunStore, "add_completion", full)
    with pytest.raises(StorageError) as caught:
        create_run(folder).execute(Watched(folder / "log"), FakeSandbox)
    assert ended == [True], caught.value
    assert len(lines(folder / "log")) == 1


def test_an_unwritable_prompt_is_disk_trouble(folder: Path) -> None:
    """The copy of the prompt was written past the store: a full disk ended in a traceback."""
    run = create_run(folder)
    (run.folder / "prompt.jinja2").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"prompt\.jinja2"):
        run.execute(SlowModel(folder / "log"), FakeSandbox)


def test_the_manifest_grows_with_work_only(folder: Path) -> None:
    """Every look at a finished run (a cron job, a loop) added an invocation to its results."""
    for _ in range(3):
        outcome = create_run(folder).execute(SlowModel(folder / "log"), FakeSandbox)
    assert len(outcome.manifest["invocations"]) == 1
    assert "finished" in outcome.manifest["invocations"][0]
    outcome = create_run(folder, n=SAMPLES + 1).execute(SlowModel(folder / "log"), FakeSandbox)
    assert len(outcome.manifest["invocations"]) == 2


def test_fewer_samples_or_problems_count_those_only(folder: Path) -> None:
    """What is stored beyond `--n`, `--limit` and `--problems` must not leak into the numbers."""
    create_run(folder).execute(SlowModel(folder / "log"), FakeSandbox)
    run = create_run(folder, n=1)
    results = compute_results(run.execute(SlowModel(folder / "log"), FakeSandbox))
    assert results["counts"]["scored"] == results["counts"]["samples"] == PROBLEMS
    assert results["metrics"]["pass@1"]["value"] == 0  # sample 0 is stale
    run = create_run(folder, limit=2)
    results = compute_results(run.execute(SlowModel(folder / "log"), FakeSandbox))
    assert results["counts"]["problems"] == 2
    assert results["counts"]["scored"] == 2 * SAMPLES
    assert sum(g["problems"] for g in results["breakdown"]["package"].values()) == 2
    assert len(lines(folder / "log")) == SAMPLES * PROBLEMS


def test_a_bar_never_starts_beyond_its_end(folder: Path) -> None:
    """Scores of another tier were counted as graded before they were dropped."""
    begun: list[dict[str, int]] = []

    class Watching(SilentMonitor):
        def begin(self, **counts: int) -> None:
            begun.append(counts)

    create_run(folder).execute(SlowModel(folder / "log"), FakeSandbox)
    run = create_run(folder, n=SAMPLES + 1)
    run.monitor = Watching()
    run.execute(SlowModel(folder / "log"), lambda: FakeSandbox(tier="another"))
    total = (SAMPLES + 1) * PROBLEMS
    assert begun == [{"samples": total, "generated": SAMPLES * PROBLEMS, "graded": 0}]


def test_a_lost_manifest_means_grading_again(folder: Path) -> None:
    """Scores without the sandbox they came from have no provenance."""
    outcome = create_run(folder).execute(SlowModel(folder / "log"), FakeSandbox)
    (outcome.folder / "manifest.json").unlink()
    sandbox = FakeSandbox()
    again = create_run(folder).execute(SlowModel(folder / "log"), lambda: sandbox)
    assert sandbox.programs
    assert again.manifest["sandbox"]["tier"] == "fake"
    assert len(lines(folder / "log")) == SAMPLES * PROBLEMS


def test_kill_9_at_any_moment(folder: Path) -> None:
    """No record is lost, none is there twice, and nothing that was stored is computed again."""
    rng = random.Random(7)
    command = [sys.executable, __file__, str(folder)]
    kills = 0
    for _ in range(200):
        process = subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        )
        try:
            # Long enough to start, short enough to be killed in the middle most of the time.
            process.wait(timeout=rng.uniform(0.3, 1.6))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
        else:
            assert process.returncode == 0
            break
    else:
        pytest.fail("the run never finished")
    assert kills >= 2
    [run_folder] = (folder / "runs").glob("*/*")
    for name in (COMPLETIONS, SCORES):
        keys = Counter((r["problem_id"], r["sample"]) for r in lines(run_folder / name))
        assert len(keys) == SAMPLES * PROBLEMS
        assert set(keys.values()) == {1}
    # A sample may have been generated and not stored when the process died: once per kill.
    assert len(lines(folder / "log")) <= SAMPLES * PROBLEMS + kills


def main(folder: Path) -> None:
    create_run(folder).execute(SlowModel(folder / "log", pause=0.05), FakeSandbox)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
