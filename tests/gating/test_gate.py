"""The gate as CI meets it: every verdict, every exit code, every reason that forbids comparing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from command_line import failed, recode_eval
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stored_runs import edit_results, store_run

from recode_eval import cli
from recode_eval.comparison.differences import compare
from recode_eval.errors import DataError, ExitCode, UsageError
from recode_eval.gating.decision import decide, verdict_json
from recode_eval.gating.policy import Policy, load_policy
from recode_eval.gating.report import badge, junit_xml, summary_markdown
from recode_eval.run.results_file import read_run

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA = Path(__file__).parents[2] / "recode_eval" / "schemas" / "verdict.schema.json"


def base_model(problem: int, sample: int) -> bool:
    return sample < 5 + problem % 3


def slightly_worse(problem: int, sample: int) -> bool:
    return sample < 4 + problem % 3 - (problem % 8 == 0)


MODELS: dict[str, Callable[[int, int], bool | None]] = {
    "base": base_model,
    "better": lambda p, s: s < 8 + p % 2,
    "worse": lambda p, s: s < 1 + p % 2,
    "slightly": slightly_worse,
    "lower": lambda p, s: s < 5 + p % 3 + (-3, -1, 1, 1)[p // 2 % 4],
    "noisy": lambda p, s: s < (9 if p % 4 < 2 else 3),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("gate")
    return {name: store_run(out, name, right) for name, right in MODELS.items()}


class Gate:
    """Calls the command line and keeps what it gave."""

    def __init__(self, capsys: pytest.CaptureFixture[str], out: Path) -> None:
        self.capsys, self.out = capsys, out

    def __call__(self, *arguments: object) -> tuple[int, dict]:
        words = [str(word) for word in ("gate", *arguments, "--out", self.out, "--json")]
        code = cli.run(words)
        captured = self.capsys.readouterr()
        self.error = captured.err
        if not captured.out:
            return code, {}
        verdict = json.loads(captured.out)
        jsonschema.validate(verdict, json.loads(SCHEMA.read_text()))
        assert json.loads((self.out / "verdict.json").read_text()) == verdict
        assert verdict["exit_code"] == code
        return code, verdict


@pytest.fixture
def gate(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Gate:
    return Gate(capsys, tmp_path / "report")


def policy_file(folder: Path, text: str) -> Path:
    file = folder / "policy.yaml"
    file.write_text(text)
    return file


WIDE = "version: 1\nmargins: {default: {pass@1: 20}}\n"


# --- verdicts and exit codes


def test_a_better_candidate_passes(runs: dict[str, Path], gate: Gate) -> None:
    code, verdict = gate("--baseline", runs["base"], "--candidate", runs["better"])
    assert code == 0
    assert verdict["verdict"] == "pass"
    (check,) = verdict["checks"]
    assert check["note"] == "improved"
    assert check["difference"] == pytest.approx(sum(8 + p % 2 - 5 - p % 3 for p in range(40)) / 400)
    assert check["low"] > 0
    assert check["confidence"] == pytest.approx(0.9)
    assert check["margin"] == 0.03


def test_a_worse_candidate_regresses(runs: dict[str, Path], gate: Gate) -> None:
    code, verdict = gate("--baseline", runs["base"], "--candidate", runs["worse"])
    assert (code, verdict["verdict"]) == (1, "regress")
    (task,) = verdict["tasks"]
    # Each problem fell by 3 to 6 of 10 samples: no single one of them for certain.
    assert (task["worse"], task["better"]) == (40, 0)
    assert task["fixed"] == task["broken"] == []


def test_a_small_real_drop_within_the_margin_passes(
    runs: dict[str, Path], gate: Gate, tmp_path: Path
) -> None:
    both = "--baseline", runs["base"], "--candidate", runs["slightly"]
    assert gate(*both)[0] == 1
    code, verdict = gate(*both, "--policy", policy_file(tmp_path, WIDE))
    assert code == 0
    assert verdict["checks"][0]["note"] == "small real drop"
    assert verdict["checks"][0]["high"] < 0


def test_noise_is_inconclusive(runs: dict[str, Path], gate: Gate) -> None:
    code, verdict = gate("--baseline", runs["base"], "--candidate", runs["noisy"])
    assert (code, verdict["verdict"]) == (3, "inconclusive")


def test_the_same_run_of_few_problems_proves_little(
    runs: dict[str, Path], gate: Gate, tmp_path: Path
) -> None:
    """20 unchanged clusters do not exclude a drop of 3 points, but one of 20."""
    again = store_run(tmp_path, "base", base_model, seed=1)
    both = "--baseline", runs["base"], "--candidate", again
    code, verdict = gate(*both)
    assert code == 3
    assert verdict["checks"][0]["method"] == "no difference: Clopper-Pearson on clusters"
    assert gate(*both, "--policy", policy_file(tmp_path, WIDE))[0] == 0


def all_fall(baseline: int, candidate: int) -> dict[str, Callable[[int, int], bool | None]]:
    return {"old": lambda p, s: s < baseline, "new": lambda p, s: s < candidate}


@pytest.mark.parametrize(("baseline", "candidate", "code"), [(4, 1, 1), (3, 1, 1), (1, 4, 0)])
def test_a_change_of_the_same_size_everywhere_has_a_verdict(
    tmp_path: Path, gate: Gate, baseline: int, candidate: int, code: int
) -> None:
    """Every problem fell from 4 of 4 to 1 of 4, and the gate said inconclusive: no spread."""
    models = all_fall(baseline, candidate)
    old, new = (store_run(tmp_path, name, models[name], n=4) for name in ("old", "new"))
    found, verdict = gate("--baseline", old, "--candidate", new)
    assert found == code
    (check,) = verdict["checks"]
    assert check["method"] == "equal differences: Clopper-Pearson on clusters"
    change = (candidate - baseline) / 4
    unseen = 1 - 0.05 ** (1 / 20)
    assert check["low"] == pytest.approx(change - unseen * (1 + change))
    assert check["high"] == pytest.approx(change + unseen * (1 - change))
    luck = (1 / (1 + abs(change))) ** 20
    assert check["p_drop"] == pytest.approx(luck if change < 0 else 1 - luck)


def test_the_same_fall_of_two_clusters_may_be_luck(tmp_path: Path, gate: Gate) -> None:
    models = all_fall(4, 3)
    old, new = (store_run(tmp_path, name, models[name], n=4, problems=4) for name in ("old", "new"))
    code, verdict = gate("--baseline", old, "--candidate", new)
    assert (code, verdict["checks"][0]["note"]) == (3, "too few clusters")


@pytest.mark.parametrize(("problems", "code", "note"), [
    (196, 3, "too few clusters"), (198, 0, ""),
])  # fmt: skip
def test_equal_counts_pass_once_the_clusters_suffice(
    tmp_path: Path, gate: Gate, problems: int, code: int, note: str
) -> None:
    """Equal counts were inconclusive without a word of what would decide."""
    models = all_fall(1, 1)
    old, new = (
        store_run(tmp_path, name, models[name], n=2, problems=problems) for name in ("old", "new")
    )
    found, verdict = gate("--baseline", old, "--candidate", new)
    assert (found, verdict["checks"][0]["note"]) == (code, note)
    summary = (gate.out / "summary.md").read_text()
    assert ("99 clusters without a change would pass" in summary) == (code == 3)


def test_a_metric_that_should_fall_is_turned_round(
    runs: dict[str, Path], gate: Gate, tmp_path: Path
) -> None:
    """More passes without the update is worse: the rule must not call it an improvement."""
    file = policy_file(tmp_path, "version: 1\nmargins: {default: {pass_without_update: 3}}\n")
    code, verdict = gate("--baseline", runs["base"], "--candidate", runs["better"],
                         "--policy", file)  # fmt: skip
    assert code == 1
    assert verdict["checks"][0]["difference"] > 0
    assert not verdict["checks"][0]["higher_is_better"]
    code, verdict = gate("--baseline", runs["base"], "--candidate", runs["worse"], "--policy", file)
    assert (code, verdict["checks"][0]["note"]) == (0, "improved")


def test_the_worst_metric_counts_and_holm_is_over_all(
    runs: dict[str, Path], gate: Gate, tmp_path: Path
) -> None:
    file = policy_file(tmp_path, "version: 1\nmargins: {arena: {pass@1: 3, no_code: 20, es: 3}}\n")
    code, verdict = gate("--baseline", runs["base"], "--candidate", runs["worse"], "--policy", file)
    assert code == 1
    verdicts = {check["metric"]: check["verdict"] for check in verdict["checks"]}
    assert verdicts == {"pass@1": "regress", "no_code": "pass", "es": "regress"}
    p_values = sorted(check["p_drop"] for check in verdict["checks"])
    assert min(c["p_drop_holm"] for c in verdict["checks"]) == pytest.approx(3 * p_values[0])


def test_holm_keeps_a_lucky_drop_from_being_a_regression(runs: dict[str, Path]) -> None:
    """A drop that one metric alone would prove is inconclusive among many."""
    a, b = (read_run(runs[name] / "results.json") for name in ("base", "lower"))
    margins = {"pass@1": 1.0}
    (check,) = decide([a], [b], Policy({"default": margins})).checks
    assert check.p_drop is not None
    alpha = 1.5 * check.p_drop
    assert 0.05 < alpha < 0.45
    (check,) = decide([a], [b], Policy({"default": margins}, alpha=alpha)).checks
    assert check.verdict == "regress"
    several = {**margins, "no_code": 1.0, "upass@1": 1.0}
    check, *others = decide([a], [b], Policy({"default": several}, alpha=alpha)).checks
    assert check.verdict == "inconclusive"
    assert check.difference.estimate.high < 0  # type: ignore[operator]
    assert len(others) == 2


# --- what may not be compared

INVALID: dict[str, tuple[dict, str]] = {
    "data": ({"change_rows": lambda text: text.replace("Somebody", "Someone")}, "the data's hash"),
    "prompt": ({"template": "{{ problem }} now {{ docstring }}"}, "the prompt's hash"),
    "temperature": ({"temperature": 0.2}, "temperature differs: 0.8 and 0.2"),
    "n": ({"n": 9}, "n (samples per problem) differs: 10 and 9"),
    "limits": ({"cpu_s": 77.0}, "the limits or the rules of grading differ"),
    "problems": ({"problems": 39}, "1 problems are in one of the runs only"),
    "unscored": (
        {"right": lambda p, s: None if s == 0 and p < 5 else True},
        "1.2% of the samples of the candidate are unscored",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", INVALID)
def test_what_differs_makes_it_invalid(
    what: str, runs: dict[str, Path], gate: Gate, tmp_path: Path
) -> None:
    settings, reason = INVALID[what]
    candidate = store_run(tmp_path, what, **{"right": base_model, **settings})
    code, verdict = gate("--baseline", runs["base"], "--candidate", candidate)
    assert (code, verdict["verdict"]) == (4, "invalid")
    assert any(f"arena: {reason}" in text for text in verdict["invalid"])
    assert verdict["checks"] == []


def test_one_percent_unscored_is_tolerated(
    runs: dict[str, Path], gate: Gate, tmp_path: Path
) -> None:
    def right(problem: int, sample: int) -> bool | None:
        return None if sample == 0 and problem < 4 else MODELS["better"](problem, sample)

    candidate = store_run(tmp_path, "holes", right)
    code, verdict = gate("--baseline", runs["base"], "--candidate", candidate)
    assert (code, verdict["invalid"]) == (0, [])
    assert verdict["tasks"][0]["candidate"]["unscored_share"] == 0.01


def edited(runs: dict[str, Path], folder: Path, change: Callable[[dict], None]) -> Path:
    return edit_results(Path(shutil.copytree(runs["better"], folder / "copy")), change)


def test_another_major_version_of_the_harness_is_invalid(
    runs: dict[str, Path], gate: Gate, tmp_path: Path
) -> None:
    def change(results: dict) -> None:
        results["invocations"][-1]["recode_eval"] = "9.0.0"

    candidate = edited(runs, tmp_path, change)
    code, verdict = gate("--baseline", runs["base"], "--candidate", candidate)
    assert code == 4
    assert "major version" in verdict["invalid"][0]


SETUPS: dict[str, tuple[Callable[[dict], None], str]] = {
    "task": (lambda r: r["task"].update(version=9), "the task's version differs: 1 and 9"),
    "top_p": (lambda r: r["sampling"].update(top_p=0.5), "top_p differs: 0.95 and 0.5"),
    "tokens": (lambda r: r["sampling"].update(max_tokens=7), "max_tokens differs: 1024 and 7"),
    "stop": (lambda r: r["sampling"].update(stop=["#"]), "stop differs: [] and ['#']"),
    "note": (
        lambda r: r["prompt"].update(update_note=False),
        "whether the update is shown differs",
    ),
}


@pytest.mark.parametrize("what", SETUPS)
def test_another_setup_is_invalid(
    what: str, runs: dict[str, Path], gate: Gate, tmp_path: Path
) -> None:
    change, reason = SETUPS[what]
    code, verdict = gate("--baseline", runs["base"], "--candidate", edited(runs, tmp_path, change))
    assert (code, verdict["checks"]) == (4, [])
    assert any(reason in text for text in verdict["invalid"])


def test_unscored_samples_of_the_baseline_are_invalid_too(
    runs: dict[str, Path], gate: Gate, tmp_path: Path
) -> None:
    holes = store_run(tmp_path, "holes", lambda p, s: None if s == 0 and p < 5 else True)
    code, verdict = gate("--baseline", holes, "--candidate", runs["better"])
    assert code == 4
    assert "of the samples of the baseline are unscored" in verdict["invalid"][0]


def test_problems_that_were_faulty_in_one_sandbox_only_are_invalid(
    runs: dict[str, Path], gate: Gate, tmp_path: Path
) -> None:
    def change(results: dict) -> None:
        for problem in results["problems"][:2]:
            zero = dict.fromkeys(("n", "passed", "passed_without_update", "needed_update"), 0)
            problem.update(zero, no_code=0, faulty="ModuleNotFoundError: numpy")

    candidate = edited(runs, tmp_path, change)
    code, verdict = gate("--baseline", runs["base"], "--candidate", candidate)
    assert code == 4
    assert "2 problems could be set up in one run only" in verdict["invalid"][0]


def test_a_single_sample_is_never_gated_on(gate: Gate, tmp_path: Path) -> None:
    """With one sample, six of ten unchanged models do not pass."""
    paths = [store_run(tmp_path / x, x, base_model, n=1, temperature=0.0) for x in ("a", "b")]
    code, verdict = gate("--baseline", paths[0], "--candidate", paths[1])
    assert code == 4
    assert "n = 1 is too few samples per problem" in verdict["invalid"][0]


def test_a_missing_task_or_metric_is_invalid(
    runs: dict[str, Path], gate: Gate, tmp_path: Path
) -> None:
    both = "--baseline", runs["base"], "--candidate", runs["better"], "--policy"
    text = "version: 1\ntasks: [arena, humaneval]\nmargins: {default: {pass@1: 3}}\n"
    code, verdict = gate(*both, policy_file(tmp_path, text))
    assert (code, verdict["invalid"]) == (4, ["humaneval: the baseline has no run of this task"])
    assert verdict["checks"][0]["verdict"] == "pass"
    code, verdict = gate(*both, policy_file(tmp_path, "version: 1\nmargins: {arena: {pass@9: 3}}"))
    assert (code, verdict["invalid"]) == (4, ["arena: the runs do not both have pass@9"])
    code, verdict = gate(*both, policy_file(tmp_path, "version: 1\nmargins: {other: {pass@1: 3}}"))
    assert (code, "has no metric" in verdict["invalid"][0]) == (4, True)


# --- the one rerun

RERUN = "version: 1\nrerun: true\nmargins: {default: {pass@1: 3}}\n"


@pytest.fixture(scope="module")
def reruns(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The models once more with another seed; the noisy one shows that it is worse."""
    out = tmp_path_factory.mktemp("reruns")
    models = {**MODELS, "noisy": MODELS["worse"]}
    return {name: store_run(out, name, models[name], seed=1) for name in ("base", "noisy")}


def test_a_declared_rerun_decides_on_all_samples(
    runs: dict[str, Path], reruns: dict[str, Path], gate: Gate, tmp_path: Path
) -> None:
    words = "--baseline", runs["base"], "--candidate", runs["noisy"], "--policy"
    again = "--rerun-baseline", reruns["base"], "--rerun-candidate", reruns["noisy"]
    policy = policy_file(tmp_path, RERUN)
    code, first = gate(*words, policy)
    assert (code, first["look"], first["rerun_left"]) == (3, 1, True)
    assert first["checks"][0]["confidence"] == pytest.approx(0.95)
    assert "allows one rerun" in (gate.out / "summary.md").read_text()
    code, second = gate(*words, policy, *again)
    assert (code, second["look"], second["rerun_left"]) == (1, 2, False)
    (check,) = second["checks"]
    noisy = sum((9 if p % 4 < 2 else 3) + 1 + p % 2 for p in range(40)) / 800
    assert check["candidate"] == pytest.approx(noisy)
    assert check["baseline"] == pytest.approx(first["checks"][0]["baseline"])
    assert second["tasks"][0]["candidate"]["n"] == 20
    undeclared = policy_file(tmp_path, "version: 1\nmargins: {default: {pass@1: 3}}\n")
    assert gate(*words, undeclared, *again)[0] == ExitCode.USAGE
    assert "does not allow a rerun" in gate.error


def test_a_verdict_is_not_looked_at_twice(
    runs: dict[str, Path], reruns: dict[str, Path], gate: Gate, tmp_path: Path
) -> None:
    """Looking until the answer pleases is what the level must not allow."""
    words = "--baseline", runs["base"], "--candidate", runs["worse"], "--policy"
    again = "--rerun-baseline", reruns["base"], "--rerun-candidate", reruns["noisy"]
    code, verdict = gate(*words, policy_file(tmp_path, RERUN), *again)
    assert (code, verdict["look"]) == (1, 1)


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [("noisy", "the same seed"), ("better", "the model or"), ("base", "the model or")],
)
def test_what_is_no_rerun_is_refused(
    candidate: str, reason: str, runs: dict[str, Path], reruns: dict[str, Path], gate: Gate,
    tmp_path: Path,
) -> None:  # fmt: skip
    code, _ = gate(
        "--baseline", runs["base"], "--candidate", runs["noisy"],
        "--policy", policy_file(tmp_path, RERUN),
        "--rerun-baseline", reruns["base"], "--rerun-candidate", runs[candidate],
    )  # fmt: skip
    assert code == ExitCode.USAGE
    assert reason in gate.error
    assert gate("--baseline", runs["base"], "--rerun-baseline", runs["base"])[0] == ExitCode.USAGE


# --- usage and damaged files, as processes


def test_wrong_usage(runs: dict[str, Path], tmp_path: Path) -> None:
    failed(recode_eval("gate"), ExitCode.USAGE, "--baseline RUN --candidate RUN")
    base = str(runs["base"])
    failed(recode_eval("gate", "--self-check", base, "--baseline", base), ExitCode.USAGE)
    gone = recode_eval("gate", "--baseline", base, "--candidate", "gone", cwd=tmp_path)
    failed(gone, ExitCode.DATA, "no run at gone")
    failed(
        recode_eval("gate", "--baseline", base, str(runs["worse"]), "--candidate", base),
        ExitCode.USAGE, "Two runs of the task arena",
    )  # fmt: skip


def test_the_exit_code_is_that_of_the_process(runs: dict[str, Path], tmp_path: Path) -> None:
    result = recode_eval(
        "gate", "--baseline", str(runs["base"]), "--candidate", str(runs["worse"]), cwd=tmp_path
    )
    assert result.returncode == 1
    said = "regress: worse may not ship: against base, pass@1 on arena changed by -"
    assert said in result.stdout
    assert [*tmp_path.iterdir()] == []  # it wrote a folder that nobody had asked for
    result = recode_eval(
        "gate", "--baseline", str(runs["base"]), "--candidate", str(runs["worse"]), "-o", "gate",
        cwd=tmp_path,
    )  # fmt: skip
    assert "Written to gate: verdict.json, " in result.stderr
    assert sorted(path.name for path in (tmp_path / "gate").iterdir()) == [
        "badge.json", "junit.xml", "summary.md", "verdict.json",
    ]  # fmt: skip


DAMAGE: dict[str, Callable[[dict], None]] = {
    "count": lambda r: r["problems"][0].update(passed=11),
    "negative": lambda r: r["problems"][0].update(n=-1),
    "truth": lambda r: r["problems"][0].update(passed=True),
    "text": lambda r: r["problems"][0].update(es="0.5"),
    "range": lambda r: r["problems"][0].update(es=1.5),
    "infinite": lambda r: r["problems"][0].update(es_star=float("inf")),
    "nan": lambda r: r["problems"][0].update(test_rate=float("nan")),
    "missing": lambda r: r["problems"][0].pop("cluster"),
    "no list": lambda r: r.update(problems=7),
    "twice": lambda r: r["problems"].append(r["problems"][0]),
    "empty": lambda r: r.update(problems=[]),
    "no samples": lambda r: r["counts"].update(samples=0),
    "no model": lambda r: r.pop("model"),
    "hash": lambda r: r["task"].pop("data_hash"),
    "invocations": lambda r: r.update(invocations=[]),
    "version": lambda r: r.update(schema_version=99),
    "cluster": lambda r: r["problems"][0].update(cluster=["a"]),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_file_is_the_datas_fault(
    what: str, runs: dict[str, Path], gate: Gate, tmp_path: Path
) -> None:
    candidate = edited(runs, tmp_path, DAMAGE[what])
    code, _ = gate("--baseline", runs["base"], "--candidate", candidate)
    assert code == ExitCode.DATA
    assert "results.json" in gate.error
    assert "Traceback" not in gate.error


# --- the policy


def test_the_default_policy_is_the_documented_rule(capsys: pytest.CaptureFixture[str]) -> None:
    policy = load_policy()
    assert policy.confidence == pytest.approx(0.9)
    assert policy.metrics("arena") == {"pass@1": 3}
    assert policy.metrics("humaneval") == {"pass@1": 6}
    assert policy.metrics("arena-mini") == {"pass@1": 9}
    assert policy.metrics("unknown") == {"pass@1": 3}
    assert (policy.max_unscored, policy.min_samples, policy.tasks) == (0.01, 2, None)
    assert cli.run(["gate", "--print-policy"]) == 0
    assert "version: 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[", "is not YAML"),
        ("- 1", "a mapping is expected"),
        ("version: 2", "`version` must be 1"),
        ("version: 1", "`margins` must map"),
        ("version: 1\nmargin: {}", "did you mean margins?"),
        ("version: 1\nmargins: {arena: 3}", "margins"),
        ("version: 1\nmargins: {arena: {pass@1: 0}}", "`margins.arena.pass@1`"),
        ("version: 1\nmargins: {arena: {pass@1: .nan}}", "between 0 and 100"),
        ("version: 1\nmargins: {arena: {pass@1: '3'}}", "must be a number"),
        ("version: 1\nmargins: {arena: {pas@1: 3}}", "unknown metric; did you mean pass@1?"),
        ("version: 1\nmargins: {arena: {es_star: 400}}", "between 0 and 400"),
        ("version: 1\nalpha: .nan\nmargins: {a: {b: 1}}", "`alpha` must be a number between"),
        ("version: 1\nlooks: []\nmargins: {a: {b: 1}}", "`looks` must be a list"),
        ("version: 1\ntasks: []\nmargins: {a: {b: 1}}", "`tasks` must be a list"),
        ("margins: {a: {b: 1}}", "`version` must be 1, not None"),
        ("version: 1\nalpha: 0.5\nmargins: {a: {b: 1}}", "`alpha`"),
        ("version: 1\nmax_unscored: 1\nmargins: {a: {b: 1}}", "`max_unscored`"),
        ("version: 1\nmin_samples: 1\nmargins: {a: {b: 1}}", "`min_samples`"),
        ("version: 1\nrerun: maybe\nmargins: {a: {b: 1}}", "`rerun`"),
        ("version: 1\nsequential: 3\nmargins: {a: {b: 1}}", "`sequential`"),
        ("version: 1\nlooks: [4, 2]\nmargins: {a: {b: 1}}", "`looks`"),
        ("version: 1\ntasks: arena\nmargins: {a: {b: 1}}", "`tasks`"),
        ("version: 1\nmargins: !!python/object:os.system {}", "is not YAML"),
    ],
)
def test_a_wrong_policy_is_refused(text: str, part: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_policy(policy_file(tmp_path, text))
    assert part in str(caught.value)
    with pytest.raises(UsageError, match="Cannot read"):
        load_policy(tmp_path / "gone.yaml")


# --- reports


def test_junit_and_badge(runs: dict[str, Path], gate: Gate, tmp_path: Path) -> None:
    file = policy_file(
        tmp_path, "version: 1\ntasks: [arena, x]\nmargins: {arena: {pass@1: 3, no_code: 20}}\n"
    )
    gate("--baseline", runs["base"], "--candidate", runs["worse"], "--policy", file)
    suite = ET.parse(gate.out / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "3", "failures": "1", "errors": "1", "skipped": "0",
    }  # fmt: skip
    names = {(case.get("classname"), case.get("name")) for case in suite}
    assert {("arena", "pass@1"), ("arena", "no_code")} < names
    found = json.loads((gate.out / "badge.json").read_text())
    assert found == {
        "schemaVersion": 1,
        "label": "recode-eval gate",
        "message": "invalid",
        "color": "lightgrey",
    }
    gate("--baseline", runs["base"], "--candidate", runs["noisy"])
    suite = ET.parse(gate.out / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    assert suite.get("skipped") == "1"
    assert json.loads((gate.out / "badge.json").read_text())["message"].startswith("inconclusive")


def test_the_step_summary_is_appended_and_never_too_long(
    runs: dict[str, Path], gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "step.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    file.write_text("before\n")
    gate("--baseline", runs["base"], "--candidate", runs["worse"])
    assert file.read_text() == "before\n" + (gate.out / "summary.md").read_text() + "\n"
    file.write_text("x" * ((1 << 20) - 500))
    gate("--baseline", runs["base"], "--candidate", runs["worse"])
    assert file.stat().st_size <= 1 << 20
    assert "verdict.json has everything" in file.read_text()[-100:]
    file.unlink()
    file.mkdir()
    assert gate("--baseline", runs["base"], "--candidate", runs["worse"])[0] == 1
    assert "GITHUB_STEP_SUMMARY" in gate.error


def test_hostile_names_are_no_markup(runs: dict[str, Path], tmp_path: Path) -> None:
    """A checkpoint's name or a problem's id could add a link or a passing case to the report."""
    evil = (
        "](http://x) <img src=x> `|` @somebody\x1b[2J\u202e\n| a | b |\n]]></failure>\ufffe\ud800"
    )

    def change(results: dict) -> None:
        results["model"]["name"] = evil
        results["problems"][0]["id"] = evil
        results["problems"][0]["cluster"] = evil

    a = read_run(edited(runs, tmp_path / "a", change) / "results.json")
    b = read_run(edit_results(edited(runs, tmp_path / "b", change), _no_pass) / "results.json")
    decision = decide([a], [b], load_policy())
    text = summary_markdown(decision)
    for line in text.splitlines():
        outside = "".join(line.split("`")[::2])
        assert "<img" not in outside
        assert "@somebody" not in outside
        assert "http" not in outside
    assert text.encode()  # no lone surrogate
    assert not set(text) & {"\x1b", "\u202e"}
    root = ET.fromstring(junit_xml(decision))
    assert len(list(root.iter("testcase"))) == 1
    assert json.dumps(badge(decision))


def _no_pass(results: dict) -> None:
    for problem in results["problems"]:
        problem.update(passed=0)


def test_a_huge_summary_is_cut_between_lines(runs: dict[str, Path]) -> None:
    runs_ = [read_run(runs[name] / "results.json") for name in ("base", "worse")]
    decision = decide(runs_[:1], runs_[1:], load_policy())
    whole = summary_markdown(decision)
    for limit in (0, 10, 60, 500, len(whole.encode()) - 1):
        cut = summary_markdown(decision, limit)
        assert len(cut.encode()) <= limit
        if cut:
            kept = cut.partition("\n\n(cut:")[0]
            assert not kept or whole.startswith(kept + "\n")


# --- A/A


def test_the_self_check_splits_a_run_in_two(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["gate", "--self-check", str(runs["base"]), "--splits", "400", "--json"]) == 0
    (check,) = json.loads(capsys.readouterr().out)
    assert sum(check["verdicts"].values()) == 400
    assert check["samples_per_half"] == 5
    assert 0 < check["false_alarms"] < 0.09
    assert check["sound"]
    assert cli.run(["gate", "--self-check", str(runs["base"]), "--splits", "50"]) == 0
    assert "false alarms" in capsys.readouterr().out


def test_the_self_check_needs_samples_to_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = store_run(tmp_path, "one", base_model, n=1)
    assert cli.run(["gate", "--self-check", str(run)]) == ExitCode.USAGE
    assert "nothing can be split" in capsys.readouterr().err


# --- whatever a file holds

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


@pytest.mark.slow
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_damage_is_refused_or_harmless(
    data: st.DataObject, runs: dict[str, Path], tmp_path: Path
) -> None:
    """A value of another type anywhere must end in a clear error or a verdict, not a traceback."""
    results = json.loads((runs["better"] / "results.json").read_text())
    results["problems"] = results["problems"][:6]
    place = results
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not (isinstance(place[key], dict | list) and place[key]) or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(json_values)
    file = tmp_path / "damaged.json"
    file.write_text(json.dumps(results))
    try:
        run = read_run(file)
    except DataError as error:
        assert "damaged.json" in str(error)
        return
    decision = decide([read_run(runs["base"] / "results.json")], [run], load_policy())
    json.dumps(verdict_json(decision), allow_nan=False)
    summary_markdown(decision).encode()
    ET.fromstring(junit_xml(decision))
    compare([(run, run)])


def test_a_run_cannot_pass_against_itself(tmp_path: Path) -> None:
    """`gate --baseline RUN --candidate RUN` passed with exit code 0 and no word."""
    run = store_run(tmp_path, "m", lambda p, s: s < p % 10)
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    for other in (run, copy):
        code = cli.run(["gate", "--baseline", str(run), "--candidate", str(other),
                        "--out", str(tmp_path / "gate"), "--quiet"])  # fmt: skip
        assert code == ExitCode.INVALID
        verdict = json.loads((tmp_path / "gate" / "verdict.json").read_text())
        assert "is the baseline's own run" in verdict["invalid"][0]


def test_every_check_has_a_sentence(runs: dict[str, Path], gate: Gate) -> None:
    """A verdict that a paper could cite: names, difference, interval, margin, basis."""
    sentences = {
        name: gate("--baseline", runs["base"], "--candidate", runs[name])[1]["checks"][0]
        for name in ("better", "worse", "noisy")
    }
    better, worse, noisy = (sentences[name]["sentence"] for name in ("better", "worse", "noisy"))
    assert better.startswith("better is better than base in pass@1 on arena: difference +")
    assert worse.startswith("worse is worse than base in pass@1 on arena (one-sided p ")
    assert noisy.startswith("Whether noisy is 3.0 points worse than base in pass@1 on arena stays")
    for text in (better, worse, noisy):
        assert "90 % CI" in text
        assert "margin 3.0 points)." in text
        assert "40 problems in 20 clusters, n = 10, paired" in text
    summary = (gate.out / "summary.md").read_text()
    assert "Whether `noisy` is 3.0 points worse than `base` in pass@1 on `arena`" in summary
