"""Help texts: 80 columns, short first, and the nearest name for a misspelt one."""

from __future__ import annotations

import argparse
import re

import pytest
from command_line import recode_eval, recode_train

from recode_eval.cli import COMMANDS, create_parser
from recode_eval.commands.parsers import FEW, CommandParser
from recode_eval.errors import ExitCode
from recode_train import cli as train_cli


def _parsers(parser: CommandParser) -> dict[str, CommandParser]:
    """Return the parser and those of all its commands, by the words that call them."""
    found = {parser.prog: parser}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                found |= _parsers(one)
    return found


PARSERS = _parsers(create_parser()) | _parsers(train_cli.create_parser())
MODULES = {
    f"recode-eval {name}": f"recode_eval.commands.{name.replace('-', '_')}" for name in COMMANDS
} | {
    f"recode-train {name}": train_cli.module_name(name)
    for name in (*train_cli.algorithms(), *train_cli.COMMANDS)
}
"""The module of every command of both programs."""


def _options(text: str) -> list[str]:
    return re.findall(r"^  (?:-\w, )?(--[\w-]+)", text, flags=re.MULTILINE)


@pytest.mark.parametrize("words", PARSERS)
def test_every_help_fits_80_columns(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Help was as wide as the terminal, and examples wider than 80 columns."""
    monkeypatch.setenv("COLUMNS", "200")
    for text in (PARSERS[words].format_help(), PARSERS[words].format_whole_help()):
        assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("command", MODULES)
def test_short_help_says_what_is_missing(command: str) -> None:
    """`run --help` filled three screens; a beginner needs ten options."""
    parser = PARSERS[command]
    short, whole = _options(parser.format_help()), _options(parser.format_whole_help())
    assert set(short) <= set(whole)
    if hidden := len(whole) - len(short):
        assert len(short) <= FEW + 1
        assert f"{hidden} more options: {command} --help-all" in parser.format_help()
    else:
        assert "more options" not in parser.format_help()


def test_run_shows_ten_options() -> None:
    short = _options(PARSERS["recode-eval run"].format_help())
    assert len(set(short) - {"--help", "--help-all"}) == 10
    whole = _options(PARSERS["recode-eval run"].format_whole_help())
    assert {"--engine-arg", "--turns", "--ray-address"} <= set(whole)


def test_first_options_exist() -> None:
    """A renamed option would vanish from the short help."""
    import importlib

    for command, name in MODULES.items():
        first = getattr(importlib.import_module(name), "FIRST", ())
        assert set(first) <= set(_options(PARSERS[command].format_whole_help())), command


def test_help_all_is_printed_on_standard_output() -> None:
    result = recode_eval("run", "--help-all")
    assert result.returncode == ExitCode.OK
    assert "--gpu-memory-utilization" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--modle", "x", "--tasks", "arena-mini"],
            "Unknown option --modle. Did you mean --model?",
        ),
        (["compare", "a", "b", "--confidense=0.9"], "Did you mean --confidence?"),
        (["gate", "--polcy", "x.yaml"], "Did you mean --policy?"),
        (["leaderboard", "biuld", "runs"], "Unknown command 'biuld'. Did you mean build?"),
        (["comparee"], "Unknown command 'comparee'. Did you mean compare?"),
        (["tasks", "--xyzzyx"], "`recode-eval tasks --help` lists the options"),
    ],
)
def test_a_misspelt_word_names_the_nearest(words: list[str], said: str) -> None:
    """Argparse says "unrecognized arguments", or first that another option is required."""
    result = recode_eval(*words)
    assert result.returncode == ExitCode.USAGE
    assert said in result.stderr
    assert "usage: recode-eval" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["grpo", "--modle", "x"], "Unknown option --modle. Did you mean --model?"),
        (["compare", "-m", "x", "--mach=none"], "Did you mean --match?"),
        (["grop", "-m", "x"], "Unknown command 'grop'. Did you mean grpo?"),
        (["presets", "--xyzzyx"], "`recode-train presets --help` lists the options"),
    ],
)
def test_the_trainer_names_the_nearest_word(words: list[str], said: str) -> None:
    """The trainer said "unrecognized arguments", and listed all nine commands for a typo."""
    result = recode_train(*words)
    assert result.returncode == ExitCode.USAGE
    assert said in result.stderr
    assert "usage: recode-train" in result.stderr


def test_the_trainer_shows_all_options_when_asked() -> None:
    result = recode_train("dapo", "--help-all")
    assert result.returncode == ExitCode.OK
    assert "--skip-bad-rows" in result.stdout
    assert result.stderr == ""
    assert "--skip-bad-rows" not in recode_train("dapo", "--help").stdout


def test_a_hostile_word_cannot_write_to_the_terminal() -> None:
    result = recode_eval("tasks", "--\x1b[31mred")
    assert result.returncode == ExitCode.USAGE
    assert "\x1b" not in result.stderr


def test_short_names_are_the_long_ones() -> None:
    parser = create_parser("run")
    words = ["run", "-m", "a", "-t", "x,y", "-n", "3", "-o", "there"]
    short = parser.parse_args(words)
    long = parser.parse_args(
        ["run", "--model", "a", "--tasks", "x,y", "--n", "3", "--out", "there"]
    )
    assert short == long


def test_short_names_of_the_trainer_are_the_long_ones() -> None:
    parse = train_cli.create_parser("compare").parse_args
    short = parse(["compare", "-m", "a", "-n", "3", "-o", "there"])
    assert short == parse(["compare", "--model", "a", "--n", "3", "--out", "there"])
    parse = train_cli.create_parser("dpo").parse_args
    assert parse(["dpo", "-m", "a", "-o", "b"]) == parse(["dpo", "--model", "a", "--out", "b"])


def test_a_value_may_look_like_an_option_only_when_glued() -> None:
    """Options are looked at before argparse does; values must not be taken for them."""
    parser = create_parser("run")
    found = parser.parse_args(["run", "-m", "a", "-t", "x", "--stop=--end"])
    assert found.stop == ["--end"]
