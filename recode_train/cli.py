"""The command line of the trainer: parses arguments and calls a command.

Only light modules are imported here, so that `--help` answers at once.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from typing import TYPE_CHECKING, NoReturn

from recode_eval import __version__
from recode_eval.boundary import guarded
from recode_eval.commands.parsers import CommandParser, complete, is_completing, words_to_complete
from recode_eval.errors import ExitCode
from recode_train.algorithms import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "compare": "train one model in several ways on the same pairs, and compare the results",
    "merge": "merge an adapter into its base",
    "presets": "list the presets and their settings",
}
_LIBRARIES = r"(accelerate|datasets|huggingface_hub|peft|torch|transformers|trl)(\.|$)"
_EPILOG = """exit codes: 0 done; 1 stopped early (diverged, nothing was learnt, or the gate found a
regression); 2 usage error; 65 bad data; 69 a resource is unavailable (hub, sandbox, package);
70 a bug in this program; 74 disk error; 130 interrupted (the same command continues)

examples:
  recode-train grpo -m ./my-model --preset paper-grpo --dry-run
  recode-train dapo -m ./my-model --set 'rewards={format: 1, tests: 1}'
  recode-train grpo -m ./my-model --set tools=run,read --set rewards.tests=1
  recode-train rft -m ./my-model --set num_generations=8 --dry-run
  recode-train compare -m ./my-model --arms sft,grpo --match prompts --dry-run
  recode-train merge train-runs/grpo/final merged-model
  accelerate launch --num_processes 4 -m recode_train.cli grpo -m ./my-model"""


def create_parser(only: str | None = None) -> CommandParser:
    """Return the parser; the options of commands other than `only` are left out (None: all)."""
    parser = CommandParser(
        prog="recode-train",
        description="Train a language model to use changed APIs.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"recode-train {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    texts = {name: _summary(name) for name in algorithms()} | COMMANDS
    for name, text in texts.items():
        title = text[0].upper() + text[1:]
        described = f"{title}." if name in COMMANDS else f"{title} ({name.upper()})."
        sub = commands.add_parser(name, help=text, description=described)
        if only in {None, name}:
            module = _module(name)
            module.add_parser(sub)
            sub.show_first(getattr(module, "FIRST", ()))
    return parser


def algorithms() -> list[str]:
    """Return the algorithms that are commands: another package cannot take a command's name."""
    return [name for name in ALGORITHMS.names() if name not in COMMANDS]


def _summary(algorithm: str) -> str:
    """Return the help of an algorithm; those of other packages are not imported for it."""
    if algorithm in ALGORITHMS.builtin:
        return ALGORITHMS.get(algorithm).summary
    return "an algorithm of another package"


def module_name(command: str) -> str:
    """Return the module of a command; all algorithms share one."""
    return f"recode_train.commands.{command if command in COMMANDS else 'train'}"


def _module(command: str):  # type: ignore[no-untyped-def]
    return importlib.import_module(module_name(command))


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Run the command line and return the exit code."""
    words = list(argv)
    if is_completing():
        asked = words_to_complete()
        complete(create_parser(asked[0] if asked else ""))
    return guarded("recode-train", words, _execute, resumable=words[:1] != ["merge"])


def _execute(words: Sequence[str]) -> int:
    from recode_eval.terminal import prepare_streams

    prepare_streams()
    _hush_libraries()
    parser = create_parser(words[0] if words else "")
    if not words:
        parser.print_help()
        return ExitCode.USAGE
    try:
        arguments = parser.parse_args(words)
    except SystemExit as end:  # `--help`, or wrong usage
        return int(end.code or 0)
    if arguments.command is None:
        parser.print_help()
        return ExitCode.USAGE
    code = int(_module(arguments.command).execute(arguments))
    _leave_the_group()
    return code


def _hush_libraries() -> None:
    """Drop what libraries tell their programmers about coming changes, unless Python was asked."""
    if not sys.warnoptions:
        warnings.filterwarnings("ignore", category=FutureWarning, module=_LIBRARIES)


def _leave_the_group() -> None:
    """End the process group, if there is one, after success.

    An interpreter that ends with a group's threads still running can abort ("terminate called
    without an active exception", exit code -6), which the launcher reports as a failed training.
    After a failure nothing is ended: the others may be in the middle of a collective operation.
    """
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available():
        return
    if distributed.is_initialized():
        distributed.destroy_process_group()


if __name__ == "__main__":
    main()
