"""`recode-eval retest` and `--repeats`: how far the figures of one model move."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import stdev

import numpy as np
import pytest
from stored_runs import ToldModel, edit_results, store_run

from recode_eval import RunConfig, UsageError, cli, evaluate
from recode_eval.comparison.retest import retests
from recode_eval.run.results_file import load_every_run


def sampled(out: Path, seed: int, **options: object) -> Path:
    """Every sample passes by chance, half of the time."""
    draws = np.random.default_rng(seed).random((40, 10))
    return store_run(out, "m", lambda p, s: bool(draws[p, s] < 0.5), seed=seed, **options)


@pytest.fixture(scope="module")
def repeats(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    out = tmp_path_factory.mktemp("repeats")
    return [sampled(out, seed) for seed in range(4)]


def test_the_spread_between_runs_is_what_samples_explain(
    repeats: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["retest", *map(str, repeats), "--json"]) == 0
    [found] = json.loads(capsys.readouterr().out)["retests"]
    first = found["metrics"][0]
    assert first["metric"] == "pass@1"
    values = [run.values("pass@1") for run in load_every_run(repeats)]
    means = [sum(v or 0 for v in one.values()) / len(one) for one in values]
    assert first["values"] == pytest.approx(means)
    assert first["sd_between_runs"] == pytest.approx(stdev(means))
    # Of 400 draws at one half: 2.5 points, which the samples' own variance says as well.
    assert first["sd_of_sampling"] == pytest.approx(0.025, abs=0.001)
    assert 0.005 < first["sd_between_runs"] < 0.06
    assert first["low"] < first["mean"] < first["high"]
    assert [run["seed"] for run in found["runs"]] == [0, 1, 2, 3]
    assert found["sentence"].startswith("pass@1 of m on arena is ")
    assert "between 4 runs (4 seeds); the samples alone explain 2.5." in found["sentence"]


def test_the_table(repeats: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["retest", *map(str, repeats)]) == 0
    shown = capsys.readouterr().out
    assert "SD between runs" in shown
    assert "pass@1 of m on arena is " in shown


def test_prompts_are_repeats_too(tmp_path: Path) -> None:
    runs = [
        sampled(tmp_path, 0),
        sampled(tmp_path, 0, template="Please: {{ problem }} {{ docstring }}"),
    ]
    assert len(load_every_run(runs)) == 2
    [found] = retests(load_every_run(runs))
    assert found.spreads[0].deviation == 0
    assert found.varied == "2 prompts"


def test_what_is_no_repeat_is_refused(repeats: list[Path], tmp_path: Path) -> None:
    other = store_run(tmp_path, "other", lambda *_: True)
    with pytest.raises(UsageError, match="the model or its loading differs"):
        retests(load_every_run([*repeats, other]))
    with pytest.raises(UsageError, match="a retest needs two"):
        retests(load_every_run([other]))
    with pytest.raises(UsageError, match="same seed and prompt"):
        retests(load_every_run([repeats[0], repeats[0]]))


@pytest.mark.parametrize("backend", ["replay", "baseline"])
def test_answers_that_no_model_wrote_have_no_spread(tmp_path: Path, backend: str) -> None:
    """Replayed answers with two seeds had a standard deviation of 0, said of the model."""
    runs = [
        edit_results(
            sampled(tmp_path, seed), lambda results: results["model"].update(backend=backend)
        )
        for seed in (0, 1)
    ]
    with pytest.raises(UsageError, match=f"back-end {backend} does not generate.*the seed"):
        retests(load_every_run(runs))


def test_repeats_make_runs_with_other_seeds(rows: Path, tmp_path: Path) -> None:
    config = RunConfig(
        model=ToldModel("m", lambda _, s: s == 0), tasks=["arena"], data={"arena": rows}, n=2,
        k=[1], repeats=3, seed=5, out=tmp_path / "runs", sandbox={"tier": "landlock"},
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        from stored_runs import KnownSandbox

        patch.setattr("recode_eval.sandbox.open_router", lambda *_, **__: KnownSandbox())
        found = evaluate(config)
    assert [result.content["sampling"]["seed"] for result in found.results] == [5, 6, 7]
    assert len({result.folder for result in found.results}) == 3
    [spread] = retests(load_every_run([result.folder for result in found.results]))
    assert spread.varied == "3 seeds"


def test_a_baseline_cannot_be_repeated(rows: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="whatever the seed"):
        evaluate(
            RunConfig(model="baseline:reference", tasks=["arena"], data={"arena": rows}, repeats=2,
                      out=tmp_path)
        )  # fmt: skip
    for wrong in (0, 101):
        with pytest.raises(UsageError, match=r"repeats must be"):
            RunConfig(model="baseline:reference", tasks=["arena"], repeats=wrong)
