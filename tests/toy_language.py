"""The shell as a language, in fifty lines: what another package would ship under an entry point."""

from __future__ import annotations

import re
import subprocess

from recode_eval.languages.base import TestCase
from recode_eval.sandbox.runtimes import CommandRuntime

_FUNCTION = re.compile(r"^([a-z_]+) *\(\)", re.MULTILINE)


class Shell:
    """POSIX shell; see `recode_eval.languages.base.Language`."""

    name = "toy-shell"
    title = "Shell"
    fence_tags = frozenset({"sh", "shell"})
    answer_tag = "SHELL"
    lexer = "bash"
    ecosystem = ""

    def runtime(self) -> CommandRuntime:
        return CommandRuntime(
            language=self.name,
            argv=("/bin/sh", "{program}"),
            program="{setup}\n{candidate}\necho '{defined}'\n{tests}\n",
            test="if (\n{test}\n); then said=passed; else said=failed; fi\n"
            'read -r nonce <&3\nprintf "\\n%s %s\\n" "$nonce" "$said"\n',
        )

    def parses(self, code: str) -> bool:
        if "```" in code:  # Backticks are syntax here, too.
            return False
        done = subprocess.run(["sh", "-n"], input=code, text=True, capture_output=True, check=False)
        return done.returncode == 0

    def defined_names(self, code: str) -> frozenset[str]:
        return frozenset(_FUNCTION.findall(code))

    def entry_point(self, code: str) -> str | None:
        names = _FUNCTION.findall(code)
        return names[-1] if names else None

    def mentions(self, code: str, program: str) -> bool:
        return any(name in code for name in _FUNCTION.findall(program))

    def normalize(self, code: str) -> str:
        lines = (line.partition("#")[0].rstrip() for line in code.splitlines())
        return "\n".join(line for line in lines if line)

    def split_tests(self, source: str) -> tuple[TestCase, ...]:
        return tuple(TestCase(f"line {n}", line) for n, line in enumerate(source.splitlines(), 1))

    def check_pattern(self, pattern: str) -> None:
        if not pattern.isidentifier():
            raise ValueError(f"{pattern!r} is no name of a command")

    def api_uses(self, patterns: tuple[str, ...], code: str) -> tuple[str, ...]:
        return tuple(name for name in patterns if re.search(rf"\b{name}\b", code))

    def tamper_flags(self, code: str | None) -> tuple[str, ...]:
        return ("file descriptors",) if code and "<&3" in code else ()
