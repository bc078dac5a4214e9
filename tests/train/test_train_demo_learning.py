"""Learning is real: GRPO and DAPO beat their start, by execution, on names that nobody trained on.

One small start is made for the module (its weights are in no repository); then each algorithm
trains it with fixed seeds, and `recode-eval` grades the answers in a sandbox.
"""

import json
from pathlib import Path

import pytest

from recode_eval.cli import run
from recode_eval.errors import InfrastructureError
from recode_train.config import TrainConfig
from recode_train.demo.comparing import KINDS, OVERRIDES
from recode_train.demo.making import (
    LONGEST_ANSWER,
    PROMPT,
    TASK,
    TASK_FOLDER,
    make_start,
    write_pairs,
    write_problems,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("libraries")]

PROBLEMS, SAMPLES = 32, 4
MARGIN = 0.1
"""What must be gained; the gains measured are several times as large."""


@pytest.fixture(scope="module")
def tier() -> str:
    from recode_eval.sandbox import open_router

    try:
        open_router("landlock", environment="mini").close()
    except InfrastructureError as error:
        pytest.skip(f"no sandbox of the tier landlock here: {error}")
    return "landlock"


@pytest.fixture(scope="module")
def start(tmp_path_factory, libraries, tier) -> Path:
    from recode_train.demo.warm_start import Shape, WarmStart

    folder = tmp_path_factory.mktemp("demo-start")
    taught = write_pairs(folder / "taught.jsonl", 2100, 1, KINDS)
    return make_start(folder / "start", taught, Shape(), WarmStart(), lambda *_: None)


@pytest.fixture(scope="module")
def pass_rate(start, tier, tmp_path_factory):
    """Return the sampled pass@1 of a model on held-out names."""
    folder = tmp_path_factory.mktemp("demo-runs")
    problems = write_problems(folder / "problems.jsonl", PROBLEMS, 3, KINDS)

    def measure(model: Path) -> float:
        code = run([
            "run", "--model", str(model), "--tasks", TASK, "--include-path", str(TASK_FOLDER),
            "--data", f"{TASK}={problems}", "--n", str(SAMPLES), "--temperature", "1",
            "--top-p", "1", "--max-tokens", str(LONGEST_ANSWER), "--batch-size", "128",
            "--k", "1", "--sandbox", tier, "--quiet", "--out", str(folder / model.parent.name),
        ])  # fmt: skip
        assert code == 0
        [results] = (folder / model.parent.name).rglob("results.json")
        return json.loads(results.read_text())["metrics"]["pass@1"]["value"]

    return measure


@pytest.fixture(scope="module")
def before(start, pass_rate) -> float:
    return pass_rate(start)


def test_the_start_does_it_sometimes(before):
    """It leaves room above, and it is not so bad that nothing could be rewarded."""
    assert 0.1 < before < 0.7


FEWER = "num_generations=4"
"""Answers to each pair before the training: it makes no others."""


@pytest.mark.parametrize(
    ("algorithm", "more"),
    [
        ("grpo", []),
        pytest.param("dapo", [], marks=pytest.mark.exhaustive),
        pytest.param("rft", [FEWER], marks=pytest.mark.exhaustive),
        pytest.param("dpo", [FEWER, "learning_rate=5e-5"], marks=pytest.mark.exhaustive),
        pytest.param("rloo", [], marks=pytest.mark.exhaustive),
    ],
)
def test_learning_is_seen_on_names_that_were_held_out(
    algorithm, more, start, before, pass_rate, tmp_path
):
    from recode_train.trainers import train

    pairs = write_pairs(tmp_path / "pairs.jsonl", 400, 2, KINDS)
    config = TrainConfig.from_sources(
        algorithm,
        preset="cpu-demo",
        overrides=[*OVERRIDES, *more],
        model=str(start),
        data=f"recode-train-data={pairs}",
        output=str(tmp_path / algorithm),
        prompt=str(PROMPT),
        max_completion_length=LONGEST_ANSWER,
        seed=1,
    )
    after = pass_rate(train(config).final)
    print(f"{algorithm}: {before:.3f} -> {after:.3f}")
    assert after > before + MARGIN
