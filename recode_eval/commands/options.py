"""Options that several commands share; `configs` turns their values into the library's."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.checks import a_day
from recode_eval.commands.parsers import completed_by
from recode_eval.errors import UsageError
from recode_eval.models.backends import BACKENDS
from recode_eval.plugins import unknown
from recode_eval.sandbox.base import ISOLATIONS
from recode_eval.sandbox.tier import TIERS_BY_NAME

if TYPE_CHECKING:
    from collections.abc import Callable

    from recode_eval.plugins import Registry

RUN = (
    "a run's folder, its results.json, a folder with a run per task, a pack, "
    "hub:OWNER/NAME/path/results.json, or a log of inspect_ai or lm-eval (docs/integrations.md)"
)
"""What a stored run may be given as, for `help`."""


def comma_list(text: str) -> list[str]:
    """Split `a,b` and drop what is empty."""
    return [item for item in (part.strip() for part in text.split(",")) if item]


def names(text: str) -> list[str]:
    """Parse `a,b`; at least one."""
    items = comma_list(text)
    if not items:
        raise argparse.ArgumentTypeError("a name is expected")
    return items


def path(text: str) -> Path:
    """Parse a path; `~` is expanded also where the shell leaves it (`--out=~/runs`)."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # no such user, or no home
        raise argparse.ArgumentTypeError(f"{text}: {error}") from None


def positive(text: str) -> int:
    """Parse a whole number of at least 1."""
    return _whole(text, 1)


def day(text: str) -> str:
    """Parse a day, `2026-01-31`."""
    try:
        a_day("it", text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def natural(text: str) -> int:
    """Parse a whole number of at least 0."""
    return _whole(text, 0)


def portion(text: str) -> float:
    """Parse a number from 0 to 1, the ends included."""
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError(text)
    return value


def _whole(text: str, low: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if value < low:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least {low}")
    return value


def _samples(text: str) -> int:
    """Parse a number of samples; a slip of the finger must not fill the memory."""
    from recode_eval.run.config import MOST_SAMPLES

    value = positive(text)
    if value > MOST_SAMPLES:
        raise argparse.ArgumentTypeError(f"{text} is more than {MOST_SAMPLES} per problem")
    return value


def number(low: float, high: float, *, above: bool = False) -> Callable[[str], float]:
    """Return a parser of numbers from `low` to `high`; `above`: without `low` itself."""

    def parse(text: str) -> float:
        value = float(text)
        if not (low < value if above else low <= value) or not value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not between {low:g} and {high:g}")
        return value

    parse.__name__ = "number"
    return parse


def share(text: str) -> float:
    """Parse a number between 0 and 1, without the ends."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def positive_list(text: str) -> list[int]:
    """Parse `1,5,10`; at least one."""
    return [positive(item) for item in names(text)]


def member_or_auto(registry: Registry[Any]) -> dict[str, Any]:
    """Return the arguments of an option that takes `auto` or a member's name.

    The members of other packages are looked for only when one is named: `--help` lists our own.
    """

    def parse(text: str) -> str:
        if text != "auto" and text not in registry:
            known = ("auto", *registry.names())
            raise argparse.ArgumentTypeError(unknown(registry.kind, text, known))
        return text

    own = ",".join(("auto", *registry.builtin))
    return {"type": parse, "metavar": f"{{{own}}}", "default": "auto"}


def add_task_options(parser: argparse.ArgumentParser, *, default: str | None) -> None:
    """Add what selects tasks, data and problems."""
    group = parser.add_argument_group("tasks and data")
    tasks = group.add_argument(
        "-t",
        "--tasks",
        type=names,
        metavar="NAME[,NAME]",
        required=default is None,
        default=None if default is None else comma_list(default),
        help="tasks to use; `recode-eval tasks` lists them"
        + (f" (default: {default})" if default else ""),
    )
    completed_by(tasks, _task_names)
    group.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="TASK=FILE",
        help="read a task's rows from a .jsonl, .jsonl.gz or .parquet file",
    )
    add_include_path(group)
    add_selection_options(group)
    group.add_argument(
        "--skip-bad-rows",
        action="store_true",
        help="leave out malformed rows instead of stopping",
    )


def _baselines() -> list[str]:
    from recode_eval.models.baselines import KINDS

    return [f"baseline:{kind}" for kind in KINDS]


def _task_names() -> list[str]:
    from recode_eval.tasks.registry import find_tasks

    return list(find_tasks())


def add_selection_options(group: argparse._ActionsContainer) -> None:
    """Add which problems."""
    group.add_argument("--limit", type=positive, metavar="N", help="only the first N problems")
    group.add_argument(
        "--problems",
        type=comma_list,
        default=[],
        metavar="PATTERN[,PATTERN]",
        help="only problems whose id contains a pattern (* and ? as in file names)",
    )
    group.add_argument(
        "--since",
        type=day,
        metavar="DATE",
        help="only problems about changes made on this day or later: 2026-01-31 (tasks with dates)",
    )
    group.add_argument(
        "--until",
        type=day,
        metavar="DATE",
        help="only problems about changes made by this day",
    )


def add_companions(parser: argparse.ArgumentParser) -> None:
    """Add what two releases that are compared are resolved with."""
    parser.add_argument(
        "--with",
        dest="companions",
        action="append",
        default=[],
        metavar="REQUIREMENT",
        help="resolve both releases with this, too, e.g. --with 'numpy<2' (may be repeated)",
    )


def add_include_path(parser: argparse._ActionsContainer) -> None:
    """Add `--include-path`."""
    parser.add_argument(
        "--include-path",
        action="append",
        type=path,
        default=[],
        metavar="FOLDER",
        help="also look for tasks in this folder",
    )


def add_sandbox_options(
    parser: argparse.ArgumentParser, default: str | None = None, *, isolation: str = "split"
) -> None:
    """Add what decides where and how programs run; `default` says where limits come from."""
    add_limit_options(add_where_options(parser), default, isolation=isolation)


def add_limit_options(
    group: argparse._ActionsContainer, default: str | None = None, *, isolation: str = "split"
) -> None:
    """Add how programs are graded; `default` says where the values come from, if not from here."""
    group.add_argument(
        "--isolation",
        choices=ISOLATIONS,
        default=None if default else isolation,
        help="split: the tests in a process that the answer cannot reach; program: one process for "
        "both; test: one per test like CodeUpdateArena, which is slower "
        f"(default: {default or isolation})",
    )
    group.add_argument(
        "--timeout",
        type=number(0, 3600, above=True),
        metavar="SECONDS",
        help="CPU time limit of one test (default: "
        + (default or "4 times what the reference takes, but at least 4 s; validate: 15 s")
        + ")",
    )
    group.add_argument(
        "--memory",
        type=number(64, 1 << 20),
        metavar="MIB",
        help=f"memory limit of one program (default: {default or 4096})",
    )


def add_where_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add what decides where programs run, but not how they are graded; returns the group."""
    group = parser.add_argument_group("sandbox")
    tier = group.add_argument(
        "--sandbox",
        **member_or_auto(TIERS_BY_NAME),
        help="tier that programs run in (default: auto, the strongest on this machine)",
    )
    completed_by(tier, lambda: ("auto", *TIERS_BY_NAME.names()))
    group.add_argument(
        "--i-know-this-is-unsafe",
        action="store_true",
        help="required by --sandbox none, which runs untrusted code with all your rights",
    )
    group.add_argument(
        "--workers", type=positive, metavar="N", help="programs at once (default: one per CPU)"
    )
    group.add_argument(
        "--base-image", metavar="IMAGE", help="base of the Docker image, if it must be built first"
    )
    return group


def add_output_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add what is printed; returns the group."""
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="print the results as JSON")
    group.add_argument("--quiet", action="store_true", help="no progress, no notes")
    group.add_argument("--debug", action="store_true", help="show a traceback on errors")
    return group


def add_breakdown(group: argparse._ActionsContainer) -> None:
    """Add `--breakdown`."""
    group.add_argument(
        "--breakdown",
        action="store_true",
        help="also print the scores by package, kind of update and other tags of the problems",
    )


def add_model_options(
    parser: argparse.ArgumentParser, *, required: bool = True, hidden: bool = False
) -> None:
    """Add what selects a model and how it is loaded or reached; `hidden` keeps --model a secret."""
    group = parser.add_argument_group("model")
    model = group.add_argument(
        *(() if hidden else ("-m",)),
        "--model",
        required=required,
        metavar="MODEL",
        help=argparse.SUPPRESS
        if hidden
        else "a checkpoint's folder, a GGUF file, a hub id, the name a server knows, "
        "replay:FILE.jsonl, or baseline:reference, baseline:stale, baseline:empty",
    )
    completed_by(model, _baselines)
    backend = group.add_argument(
        "--backend",
        **member_or_auto(BACKENDS),
        help="what runs the model, or the name of another package's back-end (default: auto, "
        "which reports its choice and the reason)",
    )
    completed_by(backend, lambda: ("auto", *BACKENDS.names()))
    group.add_argument("--adapter", metavar="PATH", help="LoRA or DoRA adapter on top of the model")
    group.add_argument("--revision", help="branch, tag or commit on the hub")
    group.add_argument(
        "--dtype",
        choices=("auto", "float32", "bfloat16", "float16"),
        default="auto",
        help="number format of the weights (default: auto)",
    )
    group.add_argument("--device", default="auto", help="transformers: cpu, cuda, cuda:1, ...")
    group.add_argument(
        "--batch-size",
        type=positive,
        metavar="N",
        help="transformers: sequences at once (halved automatically when memory runs out)",
    )
    group.add_argument(
        "--max-context",
        type=positive,
        metavar="TOKENS",
        help="limit on prompt and completion together",
    )
    group.add_argument(
        "--trust-remote-code", action="store_true", help="run code from the model's repository"
    )
    group.add_argument(
        "--tensor-parallel-size",
        type=positive,
        default=1,
        metavar="N",
        help="vLLM: GPUs that share one copy of the model",
    )
    group.add_argument(
        "--data-parallel-size",
        type=positive,
        default=1,
        metavar="N",
        help="vLLM: copies of the model",
    )
    group.add_argument(
        "--gpu-memory-utilization",
        type=number(0, 1, above=True),
        metavar="SHARE",
        help="vLLM: share of the GPU's memory",
    )
    group.add_argument(
        "--engine-arg",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="vLLM: any other engine argument; the value is read as JSON, else as text",
    )
    server = parser.add_argument_group("server (OpenAI-compatible)")
    server.add_argument(
        "--base-url", metavar="URL", help="the server's URL, such as http://127.0.0.1:8000/v1"
    )
    server.add_argument(
        "--api-key-env",
        default="OPENAI_API_KEY",
        metavar="VARIABLE",
        help="environment variable with the key",
    )
    server.add_argument(
        "--concurrency",
        type=positive,
        default=16,
        metavar="N",
        help="requests at once (default: 16)",
    )
    server.add_argument(
        "--request-timeout",
        type=number(0, 86400, above=True),
        default=600.0,
        metavar="SECONDS",
        help="longest wait for one answer (default: 600)",
    )
    server.add_argument(
        "--max-retries",
        type=natural,
        default=5,
        metavar="N",
        help="retries of a failed request, with back-off (default: 5)",
    )
    server.add_argument(
        "--request",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of every request, such as reasoning_effort=high (repeatable); the value "
        "is read as JSON, else as text; it is stored and tells models apart",
    )
    server.add_argument(
        "--server-prefill",
        choices=("auto", "continue", "omit"),
        default="auto",
        help="whether the server can continue an opened answer",
    )


def add_sampling_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of prompt and sampling."""
    group = parser.add_argument_group("prompt and sampling (defaults: the prompt variant's)")
    group.add_argument(
        "--prompt",
        metavar="NAME|FILE.jinja2",
        help="a prompt variant of the task (recode, upstream, ...) or your own template",
    )
    group.add_argument("-n", "--n", type=_samples, metavar="N", help="samples per problem")
    group.add_argument("--temperature", type=number(0, 100), metavar="T", help="0: greedy")
    group.add_argument(
        "--top-p", type=number(0, 1, above=True), metavar="P", help="nucleus sampling"
    )
    group.add_argument("--max-tokens", type=positive, metavar="N", help="new tokens per sample")
    group.add_argument(
        "--seed", type=int, default=0, help="base of every sample's seed (default: 0)"
    )
    group.add_argument("--stop", action="append", metavar="TEXT", help="end a sample at this text")
    group.add_argument(
        "--k",
        type=positive_list,
        default=[1, 5, 10],
        metavar="K[,K]",
        help="the k of pass@k and UPass@k (default: 1,5,10)",
    )


def add_executor_options(parser: argparse.ArgumentParser) -> None:
    """Add where the work is done."""
    group = parser.add_argument_group("executor")
    group.add_argument(
        "--executor",
        choices=("local", "ray"),
        default="local",
        help="this machine, or a Ray cluster (default: local)",
    )
    group.add_argument(
        "--ray-address",
        metavar="ADDRESS",
        help="the cluster's HOST:PORT, or `auto` on one of its machines (default: RAY_ADDRESS, "
        "else a cluster of this machine alone)",
    )
    group.add_argument(
        "--replicas",
        type=positive,
        metavar="N",
        help="Ray: copies of a model (default: one per GPU, or per --tensor-parallel-size GPUs)",
    )
    group.add_argument(
        "--replica-cpus",
        type=positive,
        default=1,
        metavar="N",
        help="Ray: CPUs that each copy reserves besides its GPUs (default: 1)",
    )
