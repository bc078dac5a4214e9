"""JavaScript programs without comments and blank lines, so that only what they say is compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from recode_eval.languages import treesitter

if TYPE_CHECKING:
    from recode_eval.languages.treesitter import Tree

_COMMENTS: Final = frozenset({"comment", "html_comment"})
_KEPT: Final = frozenset({"string", "template_string", "regex", "jsx_text"})


def normalize(code: str, tree: Tree) -> str:
    """Return `code` without comments and blank lines; strings and templates stay as they are.

    White space that stood before a removed comment goes with it. Lines end with line feeds, the
    last one with nothing. Code that is too long to be parsed is returned unchanged.
    """
    return treesitter.without(code, tree, _COMMENTS, _KEPT)
