"""Prompts: one Jinja2 file per variant, rendered into messages.

The template's blocks become the messages, in this order: `system`; `example_user` and
`example_assistant` (a worked example); `user`; `assistant` opens the model's own turn (prefill).
Only `user` is needed; a template without blocks is the user's message as a whole.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from jinja2 import StrictUndefined, Template, TemplateError, meta, nodes
from jinja2.sandbox import SandboxedEnvironment

from recode_eval.errors import UsageError
from recode_eval.models.base import Message, Prompt

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_ROLES = {
    "system": "system",
    "example_user": "user",
    "example_assistant": "assistant",
    "user": "user",
}
_PREFILL = "assistant"


_FILE = re.compile(r"\{\{-?\s*file\(\"(?P<name>[^\"\\]+)\"\)\s*-?\}\}")
_DELIMITER = re.compile(r"\{(?=[{%#])|[}%#](?=\})")
DOCS_VARIABLE = "docs"
"""The text of the documentation arm; empty with `note` and `none`."""
LONGEST_FILE = 1 << 20
"""Characters; a longer file fits no model's context."""


class PromptTemplate:
    """A parsed template; `render` turns a problem's context into a `Prompt`."""

    def __init__(self, source: str, name: str) -> None:
        """Parse; raises `UsageError` naming the line of a syntax error or an unknown block."""
        self.name = name
        self.source = source
        self.content_hash = hashlib.sha256(source.encode()).hexdigest()
        environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
        try:
            tree = environment.parse(source)
            outside = _outside_blocks(tree)
            _check_files(tree, name)
            self._template: Template = environment.from_string(source)
            self.shows_docs = DOCS_VARIABLE in meta.find_undeclared_variables(tree)
            """Whether it gives the documentation a place of its own."""
        except TemplateError as error:
            line = getattr(error, "lineno", "?")
            raise UsageError(f"Prompt template {name}, line {line}: {error}.") from error
        blocks = set(self._template.blocks)
        if blocks and outside is not None:
            raise UsageError(
                f"Prompt template {name}, line {outside}: text outside the blocks does not reach "
                "the model; move it into a block."
            )
        if unknown := sorted(blocks - {*_ROLES, _PREFILL}):
            known = ", ".join([*_ROLES, _PREFILL])
            raise UsageError(f"Prompt template {name}: unknown block {unknown[0]!r}; use {known}.")
        if blocks and "user" not in blocks:
            raise UsageError(f"Prompt template {name}: the block `user` is missing.")

    @classmethod
    def from_file(cls, path: Path) -> PromptTemplate:
        """Read and parse a file; raises `UsageError` if it cannot be read.

        `{{ file("AGENTS.md") }}` stands for the text of a file in the template's folder or below.
        It becomes part of the template: what is stored with a run needs no other file.
        """
        try:
            source = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"Cannot read the prompt template {path}: {error}.") from error
        return cls(_FILE.sub(lambda match: _text_of(match["name"], path), source), path.name)

    def render(self, context: Mapping[str, Any]) -> Prompt:
        """Return the messages.

        Raises:
            UsageError: the template uses an unknown variable, or fails in another way.
        """
        try:
            texts = self._texts(context)
        except Exception as error:
            names = ", ".join(sorted(context))
            cause = "" if isinstance(error, TemplateError) else f"{type(error).__name__}: "
            raise UsageError(
                f"Prompt template {self.name}: {cause}{error}. Known variables: {names}."
            ) from error
        if not texts["user"]:
            raise UsageError(f"Prompt template {self.name}: the user message is empty.")
        messages = tuple(
            Message(role, texts[name]) for name, role in _ROLES.items() if texts.get(name)
        )
        return Prompt(messages, texts.get(_PREFILL, ""))

    def _texts(self, context: Mapping[str, Any]) -> dict[str, str]:
        blocks = self._template.blocks
        if not blocks:
            return {"user": self._template.render(context).strip()}
        scope = self._template.new_context(dict(context))
        for _ in self._template.root_render_func(scope):
            pass  # `set` and `macro` outside of the blocks bind their names in the scope
        return {name: "".join(block(scope)).strip() for name, block in blocks.items()}


def _text_of(name: str, template: Path) -> str:
    """Return the expression that gives a file's text; what looks like a template in it is text."""
    folder = template.parent.resolve()
    try:
        file = (folder / name).resolve()
        if not file.is_relative_to(folder):
            raise UsageError(
                f"Prompt template {template.name}: the file {name} is not in {folder}, or is a "
                "link out of it; copy it there."
            )
        if file.exists() and not file.is_file():  # a pipe would never end
            raise UsageError(f"Prompt template {template.name}: {file} is no file.")
        with file.open(encoding="utf-8-sig") as opened:
            text = opened.read(LONGEST_FILE + 1)
    except (OSError, ValueError, RuntimeError) as error:  # no UTF-8, a zero byte, a loop of links
        raise UsageError(
            f"Prompt template {template.name}: cannot read the file {name!r}: {error}."
        ) from error
    if len(text) > LONGEST_FILE:
        raise UsageError(f"Prompt template {template.name}: {file} is longer than 1 MiB.")
    spelt = json.dumps(text, ensure_ascii=False)
    # In a comment or a raw block, too, the text must not end what it stands in.
    spelt = _DELIMITER.sub(lambda match: f"\\u{ord(match[0]):04x}", spelt)
    return f"{{{{ {spelt} }}}}"


def _check_files(tree: nodes.Template, name: str) -> None:
    """Raise `UsageError` for a `file(...)` that is not written as `from_file` reads it."""
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name == "file":
            raise UsageError(
                f"Prompt template {name}, line {call.lineno}: write "
                '{{ file("NAME") }} for the text of a file, with nothing else between the braces, '
                "in a template that is read from a file."
            )


def _outside_blocks(tree: nodes.Template) -> int | None:
    """Return the line of the first thing at the top level that blocks would not show."""
    for node in tree.body:
        if isinstance(node, nodes.Output):
            if all(isinstance(p, nodes.TemplateData) and not p.data.strip() for p in node.nodes):
                continue
        elif isinstance(node, nodes.Block | nodes.Macro | nodes.Assign | nodes.AssignBlock):
            continue
        return node.lineno
    return None


def prompt_hash(prompt: Prompt) -> str:
    """Return the SHA-256 of the messages, role by role."""
    content = [[m.role, m.content] for m in prompt.messages] + [["prefill", prompt.prefill]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
