"""`recode-eval score RUN`: judge stored completions again, without a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.commands import options
from recode_eval.errors import DataError, ExitCode

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from recode_eval.evaluation import Run
    from recode_eval.progress import Monitor
    from recode_eval.tasks.base import Task


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "run", type=Path, nargs="+", metavar="RUN", help="a run's folder (with manifest.json)"
    )
    parser.add_argument(
        "--data", metavar="FILE", help="the task's rows, if they are not where the run found them"
    )
    parser.add_argument(
        "--all", action="store_true", help="judge everything anew, also what has a score"
    )
    parser.add_argument(
        "--k",
        type=options.positive_list,
        metavar="K[,K]",
        help="the k of pass@k (default: the run's)",
    )
    options.add_sandbox_options(parser)
    options.add_output_options(parser)


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Judge each run and print its table."""
    from recode_eval import report
    from recode_eval.commands.run import exit_code
    from recode_eval.progress import create_monitor

    monitor = create_monitor(quiet=arguments.quiet)
    with options.Sandboxes(arguments, monitor.note) as sandboxes:
        results = [_score(folder, arguments, sandboxes, monitor) for folder in arguments.run]
    report.show(results, as_json=arguments.json, quiet=arguments.quiet)
    return exit_code(results)


def _score(
    folder: Path, arguments: argparse.Namespace, sandboxes: options.Sandboxes, monitor: Monitor
) -> dict[str, Any]:
    from recode_eval.results import DEFAULT_KS, compute_results
    from recode_eval.store import MANIFEST, RESULTS, read_json, write_json

    manifest = read_json(folder / MANIFEST)
    try:
        run, task = _reopen(folder, manifest, arguments, monitor)
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{folder / MANIFEST} lacks {error}: not written by this program?"
        ) from error
    outcome = run.execute(None, sandboxes.opener(task), rejudge=arguments.all)
    results = compute_results(outcome, arguments.k or manifest["settings"].get("k") or DEFAULT_KS)
    write_json(folder / RESULTS, results)
    return {**results, "folder": str(folder)}


def _reopen(
    folder: Path, manifest: Mapping[str, Any], arguments: argparse.Namespace, monitor: Monitor
) -> tuple[Run, Task]:
    """Build the run that a manifest describes; its folder's name must come out the same."""
    from recode_eval.evaluation import (
        PROMPT_FILE,
        PromptSettings,
        Run,
        ScoringSettings,
        Selection,
    )
    from recode_eval.models.base import ModelInfo, SamplingParameters
    from recode_eval.prompts import PromptTemplate
    from recode_eval.tasks.registry import create_task

    settings, prompt = manifest["settings"], manifest["prompt"]
    task = create_task(
        manifest["task"]["name"], [Path(p) for p in settings.get("include_path", [])]
    )
    data = task.load(arguments.data or settings.get("data"), skip_bad_rows=True)
    if data.content_hash != manifest["task"]["data_hash"]:
        raise DataError(
            f"The rows of {data.source} are not those of the run (hash {data.content_hash[:12]}, "
            f"the run has {manifest['task']['data_hash'][:12]}). Give the right file with --data."
        )
    sampling = dict(manifest["sampling"])
    selection = manifest["selection"]
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
            PromptTemplate.from_file(folder / PROMPT_FILE),
            prompt["source"],
            update_note=prompt["update_note"],
        ),
        SamplingParameters(
            **{**{k: v for k, v in sampling.items() if k != "n"}, "stop": tuple(sampling["stop"])}
        ),
        Selection(selection["n"], selection["limit"], tuple(selection["patterns"])),
        ScoringSettings(options.limits(arguments), arguments.isolation),
        out=folder.parent.parent,
        monitor=monitor,
    )
    run.folder = folder
    return run, task
