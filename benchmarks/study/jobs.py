"""Do one job of the study: train, evaluate, and write one result, whole or not at all."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.study.design import ARMS, BASE, KINDS, Arm, Job, Sizes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


GENERATIONS: Final = 8
"""Completions of a prompt."""
_REWARDS: Final = {"format": 1.0, "em_star": 1.0}
CHOICE: Final = "learning_rates.json"


class Study:
    """The folder of a study, and what is in it."""

    def __init__(self, folder: Path, sizes: Sizes, sandbox: str = "auto") -> None:
        """Make the data that is not there yet."""
        self.folder = folder
        self.sizes = sizes
        self.sandbox = sandbox
        self.results = folder / "results"

    def prepare(self) -> None:
        """Write data and folders; the same sizes give the same files."""
        from recode_train.demo import making, rows

        self.results.mkdir(parents=True, exist_ok=True)
        making.write_files(self.folder, self.sizes.pairs, self.sizes.problems, KINDS)
        untaught = [kind for kind in rows.KINDS if kind not in KINDS]
        for name, split in (("validation", rows.VALIDATION), ("test", rows.TEST)):
            making.write_problems(
                self.folder / f"{name}.jsonl", self.sizes.problems, 3, KINDS, split
            )
        making.write_problems(
            self.folder / "untaught.jsonl", self.sizes.untaught, 3, untaught, rows.TEST
        )

    def done(self, job: Job) -> bool:
        """Whether the job has a result."""
        return self.file(job).is_file()

    def file(self, job: Job) -> Path:
        """Return where the job's result lies."""
        return self.results / f"{job.name}.json"

    def result(self, job: Job) -> dict[str, Any]:
        """Read a result."""
        content: dict[str, Any] = json.loads(self.file(job).read_text(encoding="utf-8"))
        return content

    def start(self, number: int) -> Path:
        """Return the folder of a start; make it if it is not there."""
        from recode_train.demo import making
        from recode_train.demo.warm_start import Shape, WarmStart

        folder, mark = self.folder / f"start{number}", self.folder / f"start{number}" / "complete"
        if not mark.exists():
            settings = WarmStart(steps=self.sizes.start_steps, seed=number)
            taught = self.folder / "taught.jsonl"
            making.make_start(folder, taught, Shape(), settings, lambda *_: None)
            mark.touch()
        return folder

    def chosen(self, arm: str) -> float:
        """Return the arm's learning rate."""
        file = self.folder / CHOICE
        file = file if file.exists() else file.with_suffix(".json.part")
        content = json.loads(file.read_text(encoding="utf-8"))
        return float(content[arm]["chosen"])

    def do(self, job: Job) -> None:
        """Do the job, unless it is done."""
        from recode_eval.files import replace_file

        if self.done(job):
            return
        began, wall = time.process_time(), time.monotonic()
        content = self._start(job) if job.arm == BASE else self._train(job)
        content |= {
            "job": {"start": job.start, "arm": job.arm, "seed": job.seed, "rate": job.rate},
            "cpu_seconds": round(time.process_time() - began, 1),
            "seconds": round(time.monotonic() - wall, 1),
        }
        replace_file(self.file(job), json.dumps(content) + "\n")

    def _start(self, job: Job) -> dict[str, Any]:
        model = self.start(job.start)
        if job.tries:  # it is compared with nothing, and must not see the test names
            return {}
        return {"points": [{"updates": 0, **self._curve(job, model, 0)}],
                "final": self._final(job, model)}  # fmt: skip

    def _train(self, job: Job) -> dict[str, Any]:
        from recode_train.checkpoints import read_report
        from recode_train.config import TrainConfig
        from recode_train.stopping import TrainingStoppedError
        from recode_train.trainers import train

        config = TrainConfig(**self.settings(job))
        output = Path(config.output)
        try:
            result = train(config)
        except TrainingStoppedError as error:
            return {"stopped": str(error)}
        before = config_start(arm_of(job.arm), self.sizes)
        content: dict[str, Any] = {
            "learning_rate": config.learning_rate,
            "budgets": dict(result.budgets),
            "updates_before": before,
            "kept": _kept(read_report(output)),
        }
        if job.tries:
            return {**content, "validation": self._evaluate(job, result.final, "validation", 1)}
        points = [
            {"updates": before + step, **progress, **self._curve(job, folder, step)}
            for step, folder, progress in _checkpoints(output)
        ]
        return {**content, "points": points, "final": self._final(job, result.final)}

    def settings(self, job: Job) -> dict[str, Any]:
        """Return the settings of a training."""
        from recode_train.demo import making

        arm, sizes = arm_of(job.arm), self.sizes
        before = config_start(arm, sizes)
        every = max(1, sizes.updates // sizes.points)
        settings: dict[str, Any] = {
            "algorithm": arm.algorithm,
            "preset": "cpu-demo",
            "model": str(self._begin(job, arm)),
            "data": f"recode-train-data={self.folder / 'pairs.jsonl'}",
            "output": str(self.folder / "arms" / job.name),
            "seed": job.seed,
            "prompt": str(making.PROMPT),
            "max_completion_length": making.LONGEST_ANSWER,
            "max_steps": sizes.updates - before,
            "save_steps": every,
            "save_total_limit": sizes.points + 1,
            "per_device_train_batch_size": sizes.batch,
            "learning_rate": job.rate if job.rate is not None else self.chosen(arm.name),
            "sandbox": self.sandbox,
            **arm.settings,
        }
        if arm.algorithm in {"grpo", "dapo"}:
            settings["rewards"] = _REWARDS
        if arm.few:
            settings["pairs"] = str(self._few(job))
        return settings

    def _begin(self, job: Job, arm: Arm) -> Path:
        """Return the weights that a training starts from."""
        if arm.start is None:
            return self.start(job.start)
        other, _ = arm.start
        rate = self.chosen(other) if job.tries else None
        first = Job(job.start, other, job.seed, rate)
        self.do(first)
        return self.folder / "arms" / first.name / f"checkpoint-{config_start(arm, self.sizes)}"

    def _few(self, job: Job) -> Path:
        """Write the pairs that GRPO draws with the same seed."""
        from recode_train.data import load_pairs
        from recode_train.trainers.ordering import long_order

        pairs = load_pairs(f"recode-train-data={self.folder / 'pairs.jsonl'}").pairs
        count = self.sizes.updates * self.sizes.batch // GENERATIONS
        drawn = sorted(set(long_order(len(pairs), count, str(job.seed))))
        file = self.folder / f"few-seed{job.seed}.json"
        file.write_text(json.dumps([pairs[index].id for index in drawn]), encoding="utf-8")
        return file

    def _curve(self, job: Job, model: Path, step: int) -> dict[str, Any]:
        """Return the sampled pass rate on validation names."""
        found = self._evaluate(job, model, "validation", 1, f"-at{step}")
        return {"validation": found["mean"]}

    def _final(self, job: Job, model: Path) -> dict[str, Any]:
        """Return everything that is measured of a compared model."""
        return {
            "test": self._evaluate(job, model, "test", 1, samples=self.sizes.samples),
            "greedy": self._evaluate(job, model, "test", 0),
            "untaught": self._evaluate(job, model, "untaught", 1),
        }

    def _evaluate(
        self,
        job: Job,
        model: Path,
        data: str,
        temperature: float,
        suffix: str = "",
        samples: int | None = None,
    ) -> dict[str, Any]:
        """Return by problem how many of n answers passed, and how many copy the old program."""
        from recode_eval import RunConfig, evaluate
        from recode_eval.models.options import ModelOptions
        from recode_eval.run.config import SandboxOptions
        from recode_eval.run.results_file import read_run
        from recode_train.demo import making

        count = samples or max(1, self.sizes.samples // 4)
        how = "sampled" if temperature else "greedy"
        out = self.folder / "runs" / f"{job.name}{suffix}" / f"{data}-{how}"
        rows = self.folder / f"{data}.jsonl"
        asked = RunConfig(
            model=str(model),
            model_options=ModelOptions(batch_size=128),
            tasks=[making.TASK],
            data={making.TASK: str(rows)},
            include_path=[str(making.TASK_FOLDER)],
            n=count if temperature else 1,
            temperature=temperature,
            top_p=1.0,
            max_tokens=making.LONGEST_ANSWER,
            k=[1],
            sandbox=SandboxOptions(tier=self.sandbox),
            out=out,
        )
        [result] = evaluate(asked)
        if result.unscored:
            raise RuntimeError(f"{result.unscored} samples of {out} could not be graded")
        run = read_run(result.folder / "results.json")
        problems = run.results.problems
        return {
            "n": problems[0].n,
            "passed": {problem.id: problem.passed for problem in problems},
            "mean": sum((p.passed or 0) / p.n for p in problems) / len(problems),
            "copied": _copied(result.folder, rows),
        }


def arm_of(name: str) -> Arm:
    """Return an arm by its name."""
    return next(arm for arm in ARMS if arm.name == name)


def config_start(arm: Arm, sizes: Sizes) -> int:
    """Return the updates that the arm before has made, whole generations of reinforcement."""
    if arm.start is None:
        return 0
    every = max(1, sizes.updates // sizes.points)
    return max(every, round(sizes.updates * arm.start[1] / every) * every)


def _kept(report: Mapping[str, Any]) -> int:
    """Return the pairs, or answers, that were trained on."""
    return int(report["data"].get("prompts", 0))


def _checkpoints(output: Path) -> Iterator[tuple[int, Path, dict[str, Any]]]:
    """Yield updates, folder and costs so far of every checkpoint."""
    from recode_train import checkpoints

    for step, folder in checkpoints.checkpoints(output):
        progress = json.loads((folder / checkpoints.MARK).read_text(encoding="utf-8"))["progress"]
        names = ("tokens_generated", "tokens_trained", "groups_sampled", "cpu_seconds")
        yield step, folder, {name: progress.get(name, 0) for name in names}


def _copied(folder: Path, rows: Path) -> float:
    """Return the share of answers whose program is the old one."""
    from recode_eval.scoring import normalize

    lines = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    old = {row["id"]: normalize(row["old_code"]).strip() for row in lines}
    same = total = 0
    for line in (folder / "scores.jsonl").read_text(encoding="utf-8").splitlines():
        score = json.loads(line)
        total += 1
        code = score["code"]
        same += code is not None and normalize(code).strip() == old[score["problem_id"]]
    return same / total if total else 0.0
