"""Parsers of the command lines: short help first, the nearest option for a typo, completion.

`--help` shows what a beginner needs and how many options there are besides; `--help-all` shows
every option. A command names its first options in `FIRST`; a command with few options shows all.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Any, Final, NoReturn

from recode_eval.plugins import did_you_mean, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

WIDTH: Final = 80
"""Columns of help at most; a narrower terminal gets fewer."""
_OPTION_COLUMNS: Final = 28
FEW: Final = 12
"""A command with no more options than these shows all of them."""
COMPLETING: Final = "_ARGCOMPLETE"
"""Set by the shell when it asks for completions."""


class HelpFormatter(argparse.HelpFormatter):
    r"""Help of at most 80 columns; indented lines of a description, its examples, stay as they are.

    >>> formatter = HelpFormatter("bake")
    >>> formatter.add_text("exit codes: 0 done;\n1 burnt\n\n  bake --tasks bread   # a loaf")
    >>> print(formatter.format_help(), end="")
    exit codes: 0 done; 1 burnt
    <BLANKLINE>
      bake --tasks bread   # a loaf
    """

    def __init__(self, prog: str) -> None:
        width = min(shutil.get_terminal_size().columns, WIDTH)
        super().__init__(prog, max_help_position=_OPTION_COLUMNS, width=max(width, 40) - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        blocks = []
        for is_prose, lines in itertools.groupby(text.splitlines(), key=_is_prose):
            block = list(lines)
            blocks += self._split_lines(" ".join(block), width) if is_prose else block
        return "\n".join(f"{indent}{line}" for line in blocks)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        """Write `-m, --model MODEL` instead of `-m MODEL, --model MODEL`."""
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {value}"


def _is_prose(line: str) -> bool:
    return bool(line) and not line[0].isspace()


class CommandParser(argparse.ArgumentParser):
    """A parser of a program or of one of its commands.

    >>> parser = CommandParser(prog="bake")
    >>> _ = parser.add_argument("-t", "--tasks", metavar="NAME", help="what to bake")
    >>> print(parser.format_usage(), end="")
    usage: bake [options]
    >>> parser.unknown_option(["--taks", "bread"])
    'Unknown option --taks. Did you mean --tasks?'
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Take the arguments of `ArgumentParser`."""
        options.setdefault("formatter_class", HelpFormatter)
        super().__init__(*arguments, **options)
        self._first: frozenset[str] = frozenset()
        self._everything = False

    def show_first(self, names: Iterable[str]) -> None:
        """Let `--help` show only these options (`--model`), and add `--help-all`.

        Call it when the parser has all its options. Nothing changes if they are few.
        """
        self._first = frozenset(names)
        if self._first and len(self._options()) > FEW:
            self.add_argument(
                "--help-all", action=_HelpAll, help="show all options", default=argparse.SUPPRESS
            )
        else:
            self._first = frozenset()

    def _options(self) -> list[argparse.Action]:
        """Return the optional arguments that help can show."""
        return [
            action
            for action in self._actions
            if action.option_strings and action.help is not argparse.SUPPRESS
        ]

    def _is_shown(self, action: argparse.Action) -> bool:
        if self._everything or not self._first or not action.option_strings:
            return True
        always = {"--help", "--help-all"}
        return not (self._first | always).isdisjoint(action.option_strings)

    def add_subparsers(self, **options: Any) -> Any:
        """Add commands; their usage begins with this parser's name."""
        options.setdefault("prog", self.prog)
        return super().add_subparsers(**options)

    def format_usage(self) -> str:
        """Return `usage: PROGRAM [options] POSITIONALS`, with the options that must be given."""
        formatter = self._get_formatter()
        self._add_usage(formatter)
        return formatter.format_help()

    def _get_formatter(self) -> argparse.HelpFormatter:
        needed = self._needed()
        has_more = any(action.option_strings and action not in needed for action in self._actions)
        return self.formatter_class(prog=f"{self.prog} [options]" if has_more else self.prog)

    def _needed(self) -> list[argparse.Action]:
        return [
            action
            for action in self._actions
            if action.help is not argparse.SUPPRESS
            and (action.required or not action.option_strings)
        ]

    def _add_usage(self, formatter: argparse.HelpFormatter) -> None:
        formatter.add_usage(self.usage, self._needed(), [])

    def format_help(self) -> str:
        """Return the help."""
        formatter = self._get_formatter()
        self._add_usage(formatter)
        formatter.add_text(self.description)
        for group in self._action_groups:
            shown = [action for action in group._group_actions if self._is_shown(action)]
            formatter.start_section(group.title)
            if shown:
                formatter.add_text(group.description)
            formatter.add_arguments(shown)
            formatter.end_section()
        hidden = sum(not self._is_shown(action) for action in self._options())
        if hidden:
            formatter.add_text(f"{hidden} more options: {self.prog} --help-all")
        formatter.add_text(self.epilog)
        return formatter.format_help()

    def format_whole_help(self) -> str:
        """Return the help with every option."""
        self._everything = True
        try:
            return self.format_help()
        finally:
            self._everything = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; an option that does not exist ends with the nearest one that does."""
        words = None if args is None else list(args)
        if words is not None and not self._commands() and (problem := self.unknown_option(words)):
            self.error(problem)
        return super().parse_known_args(words, namespace)

    def unknown_option(self, words: Sequence[str]) -> str | None:
        """Return a message for the first long option that does not exist, if any does not."""
        known = [text for action in self._options() for text in action.option_strings]
        hidden = [text for action in self._actions for text in action.option_strings]
        for word in words:
            if word == "--":
                return None
            name = word.partition("=")[0]
            if not name.startswith("--") or " " in name:
                continue
            if not any(text.startswith(name) for text in hidden):
                near = did_you_mean(name, [text for text in known if text.startswith("--")])
                more = "" if near else f" `{self.prog} --help` lists the options."
                return f"Unknown option {name}.{near}{more}"
        return None

    def _commands(self) -> list[str]:
        return [
            name
            for action in self._actions
            if isinstance(action, argparse._SubParsersAction)
            for name in action.choices
        ]

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            raise argparse.ArgumentError(None, unknown("command", value, action.choices))
        super()._check_value(action, value)

    def error(self, message: str) -> NoReturn:
        """Print the usage, the message with its cause, and where help is; end with code 2."""
        from recode_eval.terminal import one_line

        self.exit(
            2,
            f"{self.format_usage()}{self.prog.split()[0]}: error: {one_line(message)}\n"
            + ("" if "--help" in message else f"Help: {self.prog} --help\n"),
        )


class _HelpAll(argparse.Action):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "nargs": 0})

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        assert isinstance(parser, CommandParser)
        parser._print_message(parser.format_whole_help(), sys.stdout)
        parser.exit()


def is_completing() -> bool:
    """Tell whether the shell wants completions instead of a run."""
    return COMPLETING in os.environ


def words_to_complete() -> list[str]:
    """Return the words after the program's name, in the line that the shell completes."""
    return os.environ.get("COMP_LINE", "").split()[1:]


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell and end, where it asks; otherwise do nothing."""
    if is_completing():
        import argcomplete

        argcomplete.autocomplete(parser)


def completed_by(action: argparse.Action, names: Callable[[], Iterable[str]]) -> None:
    """Let the shell complete the value of an option, `a,b` too, with what `names` returns."""

    def completer(prefix: str, **_: Any) -> list[str]:
        before, comma, _last = prefix.rpartition(",")
        return [f"{before}{comma}{name}" for name in names()]

    action.completer = completer  # type: ignore[attr-defined]
