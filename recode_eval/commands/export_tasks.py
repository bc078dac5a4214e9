"""`recode-eval export-tasks`: write tasks in the format of another program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.commands import configs, options, run_options
from recode_eval.errors import ExitCode
from recode_eval.task_exports import FORMATS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from recode_eval.task_exports import TaskFile


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--format",
        required=True,
        metavar="FORMAT",
        help=f"what to write (docs/integrations.md): {', '.join(FORMATS.builtin)}, or the name of "
        "another package's format",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=options.path,
        required=True,
        metavar="FOLDER",
        help="a folder that is new or empty",
    )
    options.add_task_options(parser, default=None)
    parser.add_argument(
        "--prompt", metavar="NAME", help="a prompt variant of the tasks (default: each task's own)"
    )
    run_options.add_docs_options(parser, several=False)
    group = parser.add_argument_group("images (harbor)")
    group.add_argument(
        "--base-image",
        metavar="IMAGE",
        help="what the images are built on; needs Python, pip and venv (default: the official "
        "image of the Python that is needed)",
    )
    group.add_argument(
        "--wheels",
        action="store_true",
        help="put the libraries' wheels beside the Dockerfiles, so that building needs no network",
    )
    group = parser.add_argument_group("output")
    group.add_argument("--quiet", action="store_true", help="no notes")
    group.add_argument("--debug", action="store_true", help="show a traceback on errors")


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Export every task."""
    from recode_eval.run.config import RunConfig
    from recode_eval.run.progress import create_monitor
    from recode_eval.run.session import selection
    from recode_eval.run.told import told
    from recode_eval.task_exports import ExportOptions, write
    from recode_eval.tasks.loading import load_tasks

    log = create_monitor(quiet=arguments.quiet).log
    made = FORMATS.get(arguments.format)
    data = configs.data_sources(arguments.data, arguments.tasks)
    loaded = load_tasks(
        arguments.tasks,
        data,
        include_path=arguments.include_path,
        skip_bad_rows=arguments.skip_bad_rows,
        log=log,
    )

    config = RunConfig(
        model="",
        tasks=arguments.tasks,
        limit=arguments.limit,
        problems=arguments.problems,
        since=arguments.since,
        until=arguments.until,
        docs=run_options.docs_options(arguments),
    )

    def files() -> Iterator[TaskFile]:
        for one in loaded:
            note, docs = told(one, config, log)
            yield from made(
                one,
                ExportOptions(
                    prompt=arguments.prompt,
                    update_note=note,
                    problems=selection(config, 1).problems(one.data),
                    data=data.get(one.name),
                    docs=docs,
                    base_image=arguments.base_image,
                    wheels=arguments.wheels,
                ),
            )

    # All is made before anything is written: an error leaves no half of it.
    count = write(list(files()), arguments.out)
    log(f"{count} file{'' if count == 1 else 's'} in {arguments.out}")
    return ExitCode.OK
