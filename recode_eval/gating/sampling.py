"""A candidate that the gate samples itself, in looks, until the verdict is certain.

All settings are the stored baseline's; what cannot be the same here makes the comparison invalid
before anything is drawn. At every look the candidate's samples so far are compared with all of the
baseline's: that is more informative than as many of both, and the covariance of two looks is the
same (that of the later one), so the levels of `sequential` hold. A task whose metrics have all
passed is not sampled further. Nothing is remembered but the samples: the same call replays the
looks from the store and goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from recode_eval import __version__
from recode_eval.comparison.comparability import mismatches
from recode_eval.errors import DataError, UsageError
from recode_eval.gating.decision import NO_METRIC, Decision, Drawn, decide, too_few_samples
from recode_eval.gating.looks import Looks
from recode_eval.gating.rule import Verdict
from recode_eval.run.results_file import ResultsFile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from recode_eval.conversations.settings import ConversationSettings
    from recode_eval.gating.policy import Policy
    from recode_eval.models.base import ModelInfo
    from recode_eval.run.evaluation import Run
    from recode_eval.run.progress import Monitor
    from recode_eval.run.settings import PromptSettings
    from recode_eval.tasks.base import Task, TaskData

Draw = Callable[["Run"], ResultsFile]
"""Does what is missing of a run and returns its results, read back."""


@dataclass(frozen=True, slots=True)
class Side:
    """A task's baseline, and the candidate's run on the same task."""

    baseline: ResultsFile
    run: Run

    @property
    def task(self) -> str:
        """The task's name."""
        return self.baseline.task


def run_like(
    baseline: ResultsFile,
    task: Task,
    data: TaskData,
    model: ModelInfo,
    *,
    out: Path,
    monitor: Monitor,
    settings: dict[str, Any],
    prompt_file: Path | None = None,
    seed: int | None = None,
) -> Run:
    """Return the run of another model with a stored run's settings; `seed` replaces its seed.

    Raises `UsageError` if the baseline's prompt is not the task's and not `prompt_file`, and
    `DataError` for settings that no run writes.
    """
    from recode_eval.models.base import SamplingParameters
    from recode_eval.run.evaluation import Run
    from recode_eval.run.settings import ScoringSettings, Selection
    from recode_eval.tasks.quarantine import stored_rows, without

    results = baseline.results
    try:
        sampling = {key: value for key, value in results["sampling"].items() if key != "n"}
        sampling = {**sampling, "stop": tuple(sampling["stop"])}
        if seed is not None:
            sampling["seed"] = seed
        selection = results["selection"]
        aside = stored_rows(results["task"].get("quarantined", ()), data)
        return Run(
            task,
            without(data, aside, task.spec.name),
            model,
            _prompt(baseline, task, prompt_file),
            SamplingParameters(**sampling),
            Selection.from_json(baseline.n, selection),
            ScoringSettings.from_json(results["scoring"]),
            out=out,
            monitor=monitor,
            settings=settings,
            conversation=_conversation(baseline),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{baseline.source}: in its settings, {error} is missing or malformed. Did another "
            "program write the file?"
        ) from error


def _conversation(baseline: ResultsFile) -> ConversationSettings | None:
    """Return how the baseline's samples were held; raises `UsageError` for what it searched in."""
    from recode_eval.conversations.settings import SEARCH, ConversationSettings

    found = ConversationSettings.from_identity(baseline.results["identity"].get("conversation"))
    if found is not None and SEARCH in found.tools:
        raise UsageError(
            f"The baseline {baseline.source} searched a folder of documentation, which the gate "
            "does not have. Run the candidate with the baseline's own options, and give the gate "
            "its run with --candidate."
        )
    return found


def _prompt(baseline: ResultsFile, task: Task, file: Path | None) -> PromptSettings:
    """Find the baseline's prompt. Templates that lie in a run's folder are not executed."""
    from recode_eval.run.docs import docs_of_baseline
    from recode_eval.run.prompts import PromptTemplate
    from recode_eval.run.settings import PromptSettings

    stored = baseline.results["prompt"]
    variant = task.spec.prompts.get(stored["name"])
    path = file or (variant.path if variant else None)
    if path is None:
        raise UsageError(
            f"The baseline's prompt {stored['name']} is not a variant of {baseline.task}; give the "
            "same template with --prompt FILE.jinja2"
        )
    return PromptSettings(
        stored["name"],
        PromptTemplate.from_file(path),
        stored["source"],
        stored["update_note"],
        docs_of_baseline(baseline),
    )


def gate_in_looks(
    sides: Sequence[Side], policy: Policy, draw: Draw, note: Callable[[str], None]
) -> Decision:
    """Sample until the policy's rule decides, and return the verdict; errors are those of a run."""
    invalid = [f"{side.task}: {reason}" for side in sides for reason in _unlike(side, policy)]
    if invalid:
        return Decision(Verdict.INVALID, (), tuple(invalid), (), policy)
    plans = {side.task: policy.looks_at(side.task, side.baseline.n) for side in sides}
    baselines = [side.baseline for side in sides]
    looks, drawn = Looks(), dict[str, ResultsFile]()
    undecided = list(sides)
    for index in range(max(map(len, plans.values()))):
        for side in undecided:
            if index < len(plans[side.task]):
                n = plans[side.task][index]
                drawn[side.task] = _draw(side, n, draw)
                if drawn[side.task].unscored_share > policy.max_unscored:
                    # Of few samples one is soon too many, and what failed may work now.
                    drawn[side.task] = _draw(side, n, draw)
                looks.observe(side.baseline, drawn[side.task], policy, plans[side.task])
        decision = decide(baselines, list(drawn.values()), policy, looks)
        if decision.verdict is not Verdict.INCONCLUSIVE:
            break
        waiting = {c.task for c in decision.checks if c.verdict is not Verdict.PASS}
        undecided = [side for side in undecided if side.task in waiting]
        note(f"Look {index + 1}: {', '.join(sorted(waiting))} cannot be decided yet.")
    shares = tuple(
        Drawn(side.task, plans[side.task], drawn[side.task].n, len(side.run.problems))
        for side in sides
    )
    return replace(decision, drawn=shares)


def _draw(side: Side, n: int, draw: Draw) -> ResultsFile:
    side.run.selection = replace(side.run.selection, n=n)
    return draw(side.run)


def draw_whole(first: Decision, sides: Sequence[Side], draw: Draw) -> Decision:
    """Complete tasks that passed early, for a rerun: its second look uses all samples."""
    whole = {side.task: _draw(side, side.baseline.n, draw) for side in sides}
    compared = tuple(replace(item, candidate=whole[item.baseline.task]) for item in first.compared)
    drawn = tuple(replace(item, n=item.looks[-1]) for item in first.drawn)
    return replace(first, compared=compared, drawn=drawn)


def _unlike(side: Side, policy: Policy) -> list[str]:
    """Return why the candidate cannot be compared, before anything is drawn."""
    run = side.run
    spec, stored, change = run.task.spec, side.baseline.results, msgspec.structs.replace
    sampling = {**asdict(run.sampling), "stop": list(run.sampling.stop)}
    expected = change(
        stored,
        task=change(
            stored.task, name=spec.name, version=spec.version, data_hash=run.data.content_hash
        ),
        prompt=change(
            stored.prompt,
            hash=run.prompt.template.content_hash,
            update_note=run.prompt.update_note,
        ),
        scoring={**stored.scoring, "hash": run.scoring_hash},
        sampling=change(stored.sampling, **sampling),
        invocations=[{**stored.invocations[-1], "recode_eval": __version__}],
        counts=change(stored.counts, samples=1, unscored=0),
    )
    known = {p.id: side.baseline.scores[p.id] for p in run.problems if p.id in side.baseline.scores}
    candidate = ResultsFile("the candidate", expected, known)
    reasons = [item.text for item in mismatches(side.baseline, candidate, policy.max_unscored)]
    if unknown := len(run.problems) - len(known):
        reasons.append(f"{unknown} problems are not in the baseline")
    if few := too_few_samples(side.baseline.n, policy):
        reasons.append(few)
    if not policy.metrics(side.task):
        reasons.append(NO_METRIC)
    return reasons
