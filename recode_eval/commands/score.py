"""`recode-eval score RUN`: judge stored completions again, without a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.commands import options
from recode_eval.errors import DataError, ExitCode, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from recode_eval.run.config import ScoringSettings
    from recode_eval.run.evaluation import Run
    from recode_eval.run.progress import Monitor
    from recode_eval.tasks.base import Task, TaskData


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "run", type=options.path, nargs="+", metavar="RUN", help="a run's folder (manifest.json)"
    )
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="TASK=FILE",
        help="a task's rows, if they are not where the run found them",
    )
    options.add_include_path(parser)
    parser.add_argument(
        "--all", action="store_true", help="judge everything anew, also what has a score"
    )
    parser.add_argument(
        "--k",
        type=options.positive_list,
        metavar="K[,K]",
        help="the k of pass@k (default: the run's)",
    )
    options.add_sandbox_options(parser, default="the run's")
    options.add_output_options(parser)


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Judge each run and print its table."""
    from recode_eval.commands.run import exit_code
    from recode_eval.run import report
    from recode_eval.run.progress import create_monitor
    from recode_eval.run.store import MANIFEST, read_json
    from recode_eval.terminal import stdout_for_results

    monitor = create_monitor(quiet=arguments.quiet)
    for folder in arguments.run:
        inside = sorted(folder.glob(f"*/{MANIFEST}")) or sorted(folder.glob(f"*/*/{MANIFEST}"))
        if inside and not (folder / MANIFEST).is_file():
            raise UsageError(
                f"{folder} holds runs and is none itself: name them, for example {inside[0].parent}"
            )
    manifests = {folder: read_json(folder / MANIFEST) for folder in arguments.run}
    with stdout_for_results(), options.Sandboxes(arguments, monitor.note) as sandboxes:
        results = [
            _score(folder, manifest, arguments, sandboxes, monitor)
            for folder, manifest in manifests.items()
        ]
    report.show(results, as_json=arguments.json, quiet=arguments.quiet)
    return exit_code(results)


def _score(
    folder: Path,
    manifest: Mapping[str, Any],
    arguments: argparse.Namespace,
    sandboxes: options.Sandboxes,
    monitor: Monitor,
) -> dict[str, Any]:
    from recode_eval.run.results import DEFAULT_KS, compute_results
    from recode_eval.run.store import RESULTS, identity_hash, write_json

    try:
        task, data = _load(manifest, arguments)
        run = _reopen(folder, manifest, task, data, arguments, monitor)
        same = identity_hash(run.identity) == identity_hash(manifest["identity"])
        ks = arguments.k or manifest["settings"].get("k") or DEFAULT_KS
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(
            f"{folder}: manifest.json lacks or garbles {error}: not written by this program?"
        ) from error
    if not same:
        raise DataError(
            f"{folder} was made with another version of the task {task.spec.name}, whose prompts "
            "or programs differ. Give the run's own command again: it starts a new run."
        )
    opener = sandboxes.opener(task, run.scoring.isolation)
    outcome = run.execute(None, opener, rejudge=arguments.all, tier=options.named_tier(arguments))
    results = compute_results(outcome, ks)
    write_json(folder / RESULTS, results)
    return {**results, "folder": str(folder)}


def _load(manifest: Mapping[str, Any], arguments: argparse.Namespace) -> tuple[Task, TaskData]:
    """Find the task and the very rows of the run."""
    from recode_eval.tasks.registry import create_task

    name, settings = manifest["task"]["name"], manifest["settings"]
    sources = options.data_sources(arguments.data)
    if sources and name not in sources and len(arguments.run) == 1:
        raise UsageError(f"--data {arguments.data[0]}: the run's task is {name}.")
    include = arguments.include_path or [Path(path) for path in settings.get("include_path", [])]
    task = create_task(name, include)
    data = task.load(sources.get(name) or settings.get("data"), skip_bad_rows=True)
    expected = manifest["task"]["data_hash"]
    if data.content_hash != expected:
        raise DataError(
            f"The rows of {data.source} are not those of the run (hash {data.content_hash[:12]}, "
            f"the run has {expected[:12]}). Give the right file with --data {name}=FILE."
        )
    return task, data


def _reopen(
    folder: Path,
    manifest: Mapping[str, Any],
    task: Task,
    data: TaskData,
    arguments: argparse.Namespace,
    monitor: Monitor,
) -> Run:
    """Build the run that a manifest describes; only how it is judged may differ."""
    from recode_eval.models.base import ModelInfo, SamplingParameters
    from recode_eval.run.config import PromptSettings, Selection
    from recode_eval.run.evaluation import Run
    from recode_eval.run.prompts import PromptTemplate
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
        ),
        SamplingParameters(**{**sampling, "stop": tuple(sampling["stop"])}),
        Selection(selection["n"], selection["limit"], tuple(selection["patterns"])),
        _scoring(manifest["scoring"], arguments),
        out=folder.parent.parent,
        monitor=monitor,
        settings=manifest["settings"],
    )
    run.folder = folder
    return run


def _scoring(stored: Mapping[str, Any], arguments: argparse.Namespace) -> ScoringSettings:
    """Return the run's own limits and isolation, save for what the command line names."""
    from dataclasses import replace

    from recode_eval.run.config import ScoringSettings

    own = ScoringSettings.from_json(stored)
    return replace(
        own,
        limits=options.limits(arguments, own.limits),
        isolation=arguments.isolation or own.isolation,
        calibration=None if arguments.timeout is not None else own.calibration,
    )
