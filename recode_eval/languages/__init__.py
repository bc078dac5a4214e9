"""What differs between programming languages, and finding one by its name."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from recode_eval.plugins import Registry

if TYPE_CHECKING:
    from recode_eval.languages.base import Language
    from recode_eval.sandbox.runtimes import CommandRuntime

PYTHON: Final = "python"
LANGUAGES: Final = Registry[Any](
    "language",
    "recode_eval.languages",
    {
        PYTHON: "recode_eval.languages.python.language:Python",
        "javascript": "recode_eval.languages.javascript.language:JavaScript",
        "rust": "recode_eval.languages.rust.language:Rust",
        "typescript": "recode_eval.languages.javascript.language:TypeScript",
    },
    needs=("name", "title", "fence_tags", "answer_tag", "lexer", "ecosystem", "runtime", "parses",
           "defined_names", "entry_point", "mentions", "normalize", "split_tests", "check_pattern",
           "api_uses", "tamper_flags"),
)  # fmt: skip


@cache
def get_language(name: str) -> Language:
    """Return a language by its name.

    Raises:
        UsageError: no language has this name; the message has the nearest one.
        DataError: another package's language cannot be imported or made.

    >>> sorted(get_language("python").defined_names("def f(): pass"))
    ['f']
    """
    language: Language = LANGUAGES.call(name)
    return language


def runtimes_of(name: str) -> tuple[CommandRuntime, ...]:
    """Return what a sandbox must be opened with beside its environment, for a language's programs.

    Raises:
        InfrastructureError: what runs the language is missing on this machine.

    >>> runtimes_of("python")
    ()
    """
    found = get_language(name).runtime()
    return () if found is None else (found,)


def fence_tag(name: str) -> str:
    """Return the tag to write behind the backticks of a block in a language.

    >>> fence_tag("javascript")
    'javascript'
    """
    tags = get_language(name).fence_tags
    return name if name in tags else min(tags)
