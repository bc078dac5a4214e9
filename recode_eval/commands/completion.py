"""`recode-eval completion SHELL`: what the shell needs to complete commands, options and names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from recode_eval.errors import ExitCode

if TYPE_CHECKING:
    import argparse

SHELLS: Final = ("bash", "zsh", "fish")
PROGRAMS: Final = ("recode-eval", "recode-train")
_EPILOG = """put this line into the shell's start-up file:
  bash  (~/.bashrc)                  eval "$(recode-eval completion bash)"
  zsh   (~/.zshrc, after compinit)   eval "$(recode-eval completion zsh)"
  fish  (~/.config/fish/config.fish) recode-eval completion fish | source"""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish")


def execute(arguments: argparse.Namespace) -> ExitCode:
    """Print the shell's code for both programs."""
    from argcomplete.shell_integration import shellcode

    print(shellcode(list(PROGRAMS), shell=arguments.shell))
    return ExitCode.OK
