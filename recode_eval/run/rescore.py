"""Grading the stored completions of a run again, without its model."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.checks import named_fields_only, numbers, of_type, one_of, path, paths
from recode_eval.costs.of_run import pricing_of, stored_pricing
from recode_eval.costs.prices import load_prices
from recode_eval.errors import DataError, UsageError
from recode_eval.run.config import (
    SandboxOptions,
    check_limits,
    data_files,
    options_of,
)
from recode_eval.sandbox.base import ISOLATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recode_eval.costs.prices import Price
    from recode_eval.run.evaluation import Run
    from recode_eval.run.progress import Monitor
    from recode_eval.run.sandboxes import Sandboxes
    from recode_eval.run.settings import ScoringSettings
    from recode_eval.tasks.base import Task, TaskData


@named_fields_only
@dataclass(frozen=True, kw_only=True)
class RescoreConfig:
    """How stored completions are graded again; None keeps what the run itself has."""

    data: Mapping[str, str | Path] = field(default_factory=dict)
    """Task name to a file with its rows, if they are not where the run found them."""
    include_path: Sequence[Path] = ()
    everything: bool = False
    """Grade also what has a valid score."""
    k: Sequence[int] | None = None
    isolation: str | None = None
    timeout_s: float | None = None
    memory_mib: float | None = None
    sandbox: SandboxOptions = field(default_factory=SandboxOptions)
    prices: Path | str | None = None
    """Another file of prices than the run had; costs follow from it."""

    def __post_init__(self) -> None:
        put = functools.partial(object.__setattr__, self)
        put("data", data_files(self.data))
        put("include_path", paths("include_path", self.include_path))
        of_type("everything", self.everything, bool, "true or false")
        if self.k is not None:
            put("k", numbers("k", self.k) or None)
        if self.isolation is not None:
            one_of("isolation", self.isolation, ISOLATIONS)
        check_limits(self.timeout_s, self.memory_mib)
        if self.prices is not None:
            put("prices", path("prices", self.prices))
        put("sandbox", options_of(SandboxOptions, "sandbox", self.sandbox, named="tier"))


def rescore_runs(
    folders: Sequence[Path], config: RescoreConfig, monitor: Monitor
) -> list[dict[str, Any]]:
    """Grade the runs in these folders; returns their results with `folder`.

    Raises:
        UsageError: a place is a file or a folder above runs, or `config.data` names another task.
        DataError: a manifest or the rows are not those of the run.
        InfrastructureError: there is no sandbox.
    """
    from recode_eval.run.archive import SUFFIX
    from recode_eval.run.sandboxes import Sandboxes
    from recode_eval.run.store import MANIFEST, read_json

    for folder in folders:
        if folder.is_file() and folder.name.endswith(SUFFIX):
            raise UsageError(
                f"{folder} is a pack. Unpack it first: recode-eval pack --extract {folder} --out "
                "FOLDER; then: recode-eval score FOLDER"
            )
        if folder.is_file():
            raise UsageError(
                f"{folder} is a file. Name the run's folder, for example {folder.parent}"
            )
        inside = sorted(folder.glob(f"*/{MANIFEST}")) or sorted(folder.glob(f"*/*/{MANIFEST}"))
        if inside and not (folder / MANIFEST).is_file():
            raise UsageError(
                f"{folder} is a folder of runs. Name the runs themselves, for example "
                f"{inside[0].parent}"
            )
    prices = None if config.prices is None else load_prices(Path(config.prices))
    manifests = {folder: read_json(folder / MANIFEST) for folder in folders}
    alone = len(manifests) == 1
    with Sandboxes(config.sandbox, monitor.log) as sandboxes:
        return [
            _rescore(folder, manifest, config, sandboxes, monitor, prices, alone=alone)
            for folder, manifest in manifests.items()
        ]


def _rescore(
    folder: Path,
    manifest: Mapping[str, Any],
    config: RescoreConfig,
    sandboxes: Sandboxes,
    monitor: Monitor,
    prices: tuple[Price, ...] | None,
    *,
    alone: bool,
) -> dict[str, Any]:
    from recode_eval.metrics import DEFAULT_KS
    from recode_eval.run.session import complete
    from recode_eval.run.store import identity_hash

    try:
        task, data = _load(manifest, config, alone=alone)
        run = _reopen(folder, manifest, task, data, config, monitor, prices)
        same = identity_hash(run.identity) == identity_hash(manifest["identity"])
        ks = config.k or manifest["settings"].get("k") or DEFAULT_KS
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(
            f"{folder}: in manifest.json, {error} is missing or malformed. Did another program "
            "write it?"
        ) from error
    if not same:
        raise DataError(
            f"{folder} used another version of the task {task.spec.name}, with other prompts or "
            "programs. Repeat the run's own command: it starts a new run."
        )
    tier = config.sandbox.named_tier
    results = complete(run, None, sandboxes, ks, tier, regrade=config.everything)
    return {**results, "folder": str(folder)}


def _load(
    manifest: Mapping[str, Any], config: RescoreConfig, *, alone: bool
) -> tuple[Task, TaskData]:
    """Find the task and the exact rows of the run."""
    from recode_eval.tasks.quarantine import stored_rows, without
    from recode_eval.tasks.registry import create_task

    name, settings = manifest["task"]["name"], manifest["settings"]
    if config.data and name not in config.data and alone:
        given = next(iter(config.data))
        raise UsageError(f"--data {given}={config.data[given]}: the run's task is {name}.")
    include = config.include_path or [Path(path) for path in settings.get("include_path", [])]
    task = create_task(name, include)
    source = config.data.get(name) or settings.get("data")
    data = task.load(None if source is None else str(source), skip_bad_rows=True)
    expected = manifest["task"]["data_hash"]
    if data.content_hash != expected:
        raise DataError(
            f"The rows of {data.source} (hash {data.content_hash[:12]}) differ from the run's "
            f"(hash {expected[:12]}). Give the run's rows with --data {name}=FILE."
        )
    aside = stored_rows(manifest["task"].get("quarantined", ()), data)
    return task, without(data, aside, name)


def _reopen(
    folder: Path,
    manifest: Mapping[str, Any],
    task: Task,
    data: TaskData,
    config: RescoreConfig,
    monitor: Monitor,
    prices: tuple[Price, ...] | None,
) -> Run:
    """Build the run that a manifest describes; only how it is graded may differ."""
    from recode_eval.conversations.settings import ConversationSettings
    from recode_eval.models.base import ModelInfo, SamplingParameters
    from recode_eval.run.docs import stored_docs
    from recode_eval.run.evaluation import Run
    from recode_eval.run.prompts import PromptTemplate
    from recode_eval.run.settings import PromptSettings, Selection
    from recode_eval.run.store import PROMPT

    prompt, selection = manifest["prompt"], manifest["selection"]
    sampling = {key: value for key, value in manifest["sampling"].items() if key != "n"}
    identity = dict(manifest["identity"]["model"])
    run = Run(
        task,
        data,
        ModelInfo(
            name=manifest["model"]["name"],
            backend=identity.pop("backend"),
            identity=identity,
            details=manifest["model"]["details"],
        ),
        PromptSettings(
            prompt["name"],
            PromptTemplate.from_file(folder / PROMPT),
            prompt["source"],
            update_note=prompt["update_note"],
            docs=stored_docs(folder, manifest["identity"]),
        ),
        SamplingParameters(**{**sampling, "stop": tuple(sampling["stop"])}),
        Selection.from_json(selection["n"], selection),
        _scoring(manifest["scoring"], config),
        out=folder.parent.parent,
        monitor=monitor,
        settings=manifest["settings"],
        conversation=ConversationSettings.from_identity(manifest["identity"].get("conversation")),
    )
    run.folder = folder
    if prices is not None:
        run.pricing = pricing_of(prices, run.model_info)
    elif "pricing" in manifest:
        run.pricing = stored_pricing(manifest["pricing"], folder)
    return run


def _scoring(stored: Mapping[str, Any], config: RescoreConfig) -> ScoringSettings:
    """Return the run's own limits and isolation, except what the configuration names."""
    from recode_eval.run.settings import ScoringSettings, changed_limits

    own = ScoringSettings.from_json(stored)
    return replace(
        own,
        limits=changed_limits(own.limits, config.timeout_s, config.memory_mib),
        isolation=config.isolation or own.isolation,
        calibration=None if config.timeout_s is not None else own.calibration,
    )
