"""The pipeline of one run: one model on one task, resumable, generation and scoring overlapping.

Prompts are rendered, the store says which samples are missing, the model generates them, each one
is stored and handed to the grader at once; when all are graded, the results are computed from the
store alone. Interrupt it anywhere: the same call goes on where it stopped.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from recode_eval.documentation.shown import DOCS
from recode_eval.models.base import FinishReason
from recode_eval.run import provenance
from recode_eval.run.calibration import LimitBook, machine
from recode_eval.run.generation import Generation
from recode_eval.run.grading import Grader, Unscored
from recode_eval.run.manifest import FINGERPRINT, manifest_of
from recode_eval.run.progress import WARNING
from recode_eval.run.prompts import prompt_hash
from recode_eval.run.store import RunStore, run_folder, write_text
from recode_eval.sandbox.null import NullSandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Generator, Mapping, Sequence
    from pathlib import Path

    from recode_eval.conversations.settings import ConversationSettings
    from recode_eval.costs.of_run import Pricing
    from recode_eval.models.base import Model, ModelInfo, SamplingParameters
    from recode_eval.run.progress import Monitor
    from recode_eval.run.record_index import Samples
    from recode_eval.run.records import CompletionRecord, Key, ScoreRecord
    from recode_eval.run.settings import PromptSettings, ScoringSettings, Selection
    from recode_eval.sandbox.base import Sandbox
    from recode_eval.tasks.base import Problem, Task, TaskData

LIMITS_FOLDER = ".limits"
"""Beside the runs, which share what was measured."""
_NO_MODEL = "not generated yet"


@dataclass(frozen=True, slots=True)
class RunData:
    """Everything the results are computed from."""

    folder: Path
    task: Task
    data: TaskData
    problems: tuple[Problem, ...]
    n: int
    completions: Mapping[Key, CompletionRecord]
    scores: Mapping[Key, ScoreRecord]
    """Both are read from the disk when they are asked for."""
    unscored: tuple[Unscored, ...]
    manifest: Mapping[str, Any]


class Run:
    """One model on one task; `execute` generates and grades everything that is not stored yet."""

    def __init__(
        self,
        task: Task,
        data: TaskData,
        model_info: ModelInfo,
        prompt: PromptSettings,
        sampling: SamplingParameters,
        selection: Selection,
        scoring: ScoringSettings,
        *,
        out: Path,
        monitor: Monitor,
        settings: Mapping[str, Any] | None = None,
        conversation: ConversationSettings | None = None,
    ) -> None:
        """Render the prompts and name the folder; `score` rebuilds the run from `settings`.

        Without a `conversation` the model answers each sample once.
        """
        self.task, self.data, self.model_info = task, data, model_info
        self.prompt, self.sampling, self.selection = prompt, sampling, selection
        self.scoring, self.monitor = scoring, monitor
        self.scoring_hash = scoring.hash(task, data)
        self.settings = dict(settings or {})
        self.problems = tuple(p for p in selection.problems(data) if prompt.covers(p))
        self.prompts = {p.id: prompt.render(p) for p in self.problems}
        self.hashes = {key: prompt_hash(value) for key, value in self.prompts.items()}
        self.generation = Generation(self.prompts, self.hashes, sampling, task.spec.language)
        self.identity = {
            "task": task.spec.name,
            "task_version": task.spec.version,
            "data": data.content_hash,
            "prompt": prompt.template.content_hash,
            "update_note": prompt.update_note,
            "sampling": asdict(sampling),
            "model": {"backend": model_info.backend, **model_info.identity},
        }
        if prompt.docs is not None:
            self.identity["docs"] = prompt.docs.identity
        self.pricing: Pricing | None = None
        """The model's price; None: what the manifest has of an earlier part of the run."""
        self.conversation = conversation
        if conversation is not None:
            self.identity["conversation"] = conversation.identity_of(task, data.problems)
        self.out = out
        self.folder = run_folder(out, model_info.name, task.spec.name, self.identity)

    @property
    def keys(self) -> list[Key]:
        """The samples that make up this run."""
        return [(p.id, i) for p in self.problems for i in range(self.selection.n)]

    def execute(
        self,
        model: Model | None,
        open_sandbox: Callable[[], Sandbox],
        *,
        regrade: bool = False,
        tier: str | None = None,
    ) -> RunData:
        """Generate, grade, and return what the results are computed from.

        The sandbox is opened first and only if something must be graded: without one, the run
        stops before the model costs anything. It stays open; it is the caller's. Without a
        `model`, stored completions are graded and missing ones left out; `regrade` ignores stored
        scores, and a `tier` those of other sandboxes. A task without conditions has no sandbox.
        """
        if not self.task.conditions:
            open_sandbox, tier = NullSandbox, None
        if model is not None and self.conversation is not None:
            self.conversation.check_model(model)
        with RunStore(self.folder) as store:
            scoring = self.scoring_hash
            digests: dict[Key, str] = {}
            completions = self._stored_completions(store, digests)
            scores = store.no_scores() if regrade else self._stored_scores(store, scoring, digests)
            del digests
            missing = [key for key in self.keys if key not in completions] if model else []
            ungraded = [key for key in self.keys if key in completions and key not in scores]
            self._tell_of_other_grading(store)
            if model is not None and len(completions):
                self._tell_of_reuse(store, len(completions))
            if scores and not store.manifest().get("sandbox"):
                self.monitor.log("The manifest is missing: grading all samples again.")
                ungraded += scores
                scores.clear()
            if tier is not None:
                ungraded += self._drop_other_tiers(scores, tier)
            unscored: list[Unscored] = []
            if model is None:
                unscored = [
                    Unscored(*key, _NO_MODEL) for key in self.keys if key not in completions
                ]
            manifest = manifest_of(self, store.manifest(), working=bool(missing or ungraded))
            store.write_prompt(self.prompt.template.source)
            if self.prompt.docs is not None:
                write_text(self.folder / DOCS, self.prompt.docs.to_text())
            store.write_manifest(manifest)
            if missing or ungraded:
                sandbox = open_sandbox()
                manifest["sandbox"] = provenance.sandbox_json(sandbox.info, manifest["sandbox"])
                store.write_manifest(manifest)
                ungraded += self._drop_other_tiers(scores, sandbox.info.tier)
                limits = self._limit_book(sandbox, {key[0] for key in (*missing, *ungraded)})
                self.monitor.begin(
                    samples=len(self.keys) - len(unscored),
                    generated=len(completions),
                    graded=len(scores),
                )
                try:
                    self._work(
                        store,
                        sandbox,
                        limits,
                        scoring,
                        model,
                        missing,
                        ungraded,
                        completions,
                        scores,
                        unscored,
                    )
                finally:
                    self.monitor.end()
                manifest["sandbox"] = provenance.sandbox_json(sandbox.info, manifest["sandbox"])
                manifest["invocations"][-1]["finished"] = provenance.now()
            else:
                self.monitor.log(f"All {len(scores)} samples are already generated and graded.")
            if model is not None:
                # A server's abilities are known only when it has answered.
                before = manifest["model"]["details"]
                manifest["model"]["details"] = self._server_details(before, model.info.details)
            store.write_manifest(manifest)
        return RunData(
            self.folder,
            self.task,
            self.data,
            self.problems,
            self.selection.n,
            completions,
            scores,
            tuple(unscored),
            manifest,
        )

    def _tell_of_reuse(self, store: RunStore, count: int) -> None:
        """Say that stored answers stand for a model of which only name and address are known."""
        if "base_url" not in self.model_info.identity:
            return
        since = store.manifest().get("created", "an earlier day")
        self.monitor.log(
            f"{WARNING}Reusing {count} answers stored since {since}. A served model is known by "
            f"its name and address alone: if another model is served as {self.model_info.name} "
            "now, choose another --out."
        )

    def _server_details(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
        """Return the details with all fingerprints; says so if the server's system changed."""
        old, new = (set(details.get(FINGERPRINT, [])) for details in (before, now))
        if old and new and not old & new:
            self.monitor.log(
                f"{WARNING}the server's system_fingerprint was {', '.join(sorted(old))} and is "
                f"{', '.join(sorted(new))} now: this run may mix the answers of two models. Choose "
                "another --out to start anew."
            )
        return {**now, **({FINGERPRINT: sorted(old | new)} if old | new else {})}

    def _limit_book(self, sandbox: Sandbox, needed: Container[str]) -> LimitBook:
        """Return the limits of the problems that will be graded; measures what is not known."""
        info = sandbox.info
        book = LimitBook(
            self.out / LIMITS_FOLDER,
            self.scoring.calibration if self.task.conditions else None,
            self.scoring.limits,
            [self.scoring_hash, info.tier, info.python,
             dict(info.libraries), *machine()],
            split=bool(self.task.conditions) and info.isolation == "split",
        )  # fmt: skip
        unknown = book.missing(p for p in self.problems if p.id in needed)
        if unknown:
            self.monitor.log(
                f"Running the references of {len(unknown)} problems once, to set the time limits."
            )
            book.measure(self.task, unknown, sandbox)
        return book

    def _work(
        self,
        store: RunStore,
        sandbox: Sandbox,
        limits: LimitBook,
        scoring: str,
        model: Model | None,
        missing: Sequence[Key],
        ungraded: Sequence[Key],
        completions: Samples[CompletionRecord],
        scores: Samples[ScoreRecord],
        unscored: list[Unscored],
    ) -> None:
        def on_score(record: ScoreRecord) -> None:
            scores.note(record.key, store.add_score(record))
            self.monitor.graded(record)

        def on_unscored(item: Unscored) -> None:
            unscored.append(item)
            self.monitor.graded(item)

        problems = {p.id: p for p in self.problems}
        grader = Grader(
            self.task,
            sandbox,
            limits.limits,
            scoring,
            unsplit=limits.unsplit,
            on_score=on_score,
            on_unscored=on_unscored,
        )
        try:
            for key in ungraded:
                grader.submit(problems[key[0]], completions[key])
            filtered = 0
            asked = self._records(model, missing, on_unscored, store, sandbox, limits)
            with contextlib.closing(asked) as stream:
                for record in stream:
                    filtered += record.finish_reason == FinishReason.CONTENT_FILTER
                    completions.note(record.key, store.add_completion(record))
                    self.monitor.generated(record)
                    grader.submit(problems[record.problem_id], record)
            if filtered:
                self.monitor.log(
                    f"{WARNING}the server's content filter cut off {filtered} answers "
                    "(finish_reason content_filter); they are graded as they are."
                )
            grader.finish()
        except BaseException:
            grader.abandon()
            raise

    def _records(
        self,
        model: Model | None,
        missing: Sequence[Key],
        on_unscored: Callable[[Unscored], None],
        store: RunStore,
        sandbox: Sandbox,
        limits: LimitBook,
    ) -> Generator[CompletionRecord]:
        if model is None or not missing:
            return
        if self.conversation is None:
            yield from self.generation.records(model, missing, on_unscored)
            return
        from recode_eval.run.conversing import Conversing

        conversing = Conversing(
            self.task, self.problems, self.prompts, self.hashes, self.sampling, self.conversation
        )
        yield from conversing.records(
            model, missing, on_unscored, store, sandbox, limits, self.generation.spending
        )

    def _stored_completions(
        self, store: RunStore, digests: dict[Key, str]
    ) -> Samples[CompletionRecord]:
        """Return the completions of this run's prompts and samples; fills in their digests."""

        def accept(record: CompletionRecord) -> bool:
            asked = self.hashes.get(record.problem_id) == record.prompt_hash
            if asked and 0 <= record.sample < self.selection.n:
                digests[record.key] = record.digest
                return True
            return False

        return store.completions(accept)

    def _stored_scores(
        self, store: RunStore, scoring: str, digests: Mapping[Key, str]
    ) -> Samples[ScoreRecord]:
        """Return the scores, under the present rules, of the completions with these digests."""
        return store.scores(
            lambda record: (
                record.scoring == scoring
                and record.completion == digests.get(record.key)
                and record.prompt_hash == self.hashes[record.problem_id]
            )
        )

    def _tell_of_other_grading(self, store: RunStore) -> None:
        """Say that the stored verdicts are replaced, where they follow other rules or limits."""
        stored = store.manifest().get("scoring")
        if not isinstance(stored, dict) or stored.get("hash") in {None, self.scoring_hash}:
            return
        was, now = stored.get("isolation"), self.scoring.isolation
        what = f"isolation was {was}, now {now}" if was != now else "limits or rules differ"
        self.monitor.log(f"Grading differs from the stored run's ({what}): all is graded again.")

    def _drop_other_tiers(self, scores: Samples[ScoreRecord], tier: str) -> list[Key]:
        """Drop scores that another sandbox gave: one run, one tier."""
        others = {key: record.tier for key, record in scores.items() if record.tier != tier}
        if others:
            tiers = ", ".join(sorted(set(others.values())))
            self.monitor.log(
                f"{len(others)} samples were graded in another sandbox ({tiers}); grading them "
                f"again in {tier}."
            )
        for key in others:
            del scores[key]
        return list(others)
