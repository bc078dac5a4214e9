from __future__ import annotations

from pathlib import Path

import pytest

from recode_eval.errors import UsageError
from recode_eval.run.prompts import PromptTemplate, prompt_hash
from recode_eval.tasks.registry import create_task

CONTEXT = {"problem": "Say it twice.", "update_note": True}


def render(source: str, **context: object) -> dict[str, str]:
    prompt = PromptTemplate(source, "test").render({**CONTEXT, **context})
    return {**{m.role: m.content for m in prompt.messages}, "prefill": prompt.prefill}


def test_blocks_become_messages() -> None:
    source = (
        "{% block assistant %}<think>\n{% endblock %}{% block user %}{{ problem }}{% endblock %}"
        "{% block system %}Be brief.{% endblock %}"
    )
    prompt = PromptTemplate(source, "test").render(CONTEXT)
    assert [(m.role, m.content) for m in prompt.messages] == [
        ("system", "Be brief."), ("user", "Say it twice."),
    ]  # fmt: skip
    assert prompt.prefill == "<think>"


def test_data_is_never_template_code() -> None:
    """A row that holds `{{ ... }}` is text: it must not be rendered a second time."""
    evil = "{{ 7 * 7 }}{% set x = 1 %}{{ cycler.__init__.__globals__ }}"
    assert render("{{ problem }}", problem=evil)["user"] == evil
    assert render("{% block user %}{{ problem }}{% endblock %}", problem=evil)["user"] == evil


def test_names_bound_outside_of_the_blocks_work_inside() -> None:
    source = (
        "{% set shout = problem | upper %}{% macro bold(text) %}*{{ text }}*{% endmacro %}\n"
        "{% block user %}{{ bold(shout) }}{% endblock %}"
    )
    assert render(source)["user"] == "*SAY IT TWICE.*"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("Read this first. {% block user %}x{% endblock %}", "line 1: text outside"),
        ("\n{% if update_note %}a{% endif %}{% block user %}x{% endblock %}", "line 2: text"),
        ("{% block user %}{% endblock %}", "user message is empty"),
        ("{# nothing #}", "user message is empty"),
        ("{% block system %}x{% endblock %}", "block `user` is missing"),
        ("{% block usr %}x{% endblock %}", "unknown block 'usr'"),
        ("{{ problem", "line 1"),
        ("{{ nonsense }}", "'nonsense' is undefined. Known variables: problem, update_note"),
        ("{{ problem + 1 }}", "TypeError"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{% include 'other' %}", "no loader"),
        ("{% for i in range(10 ** 9) %}{% endfor %}", "Range too big"),
        ("{{ problem.__class__.__mro__ }}", "unsafe"),
    ],
)
def test_a_template_that_cannot_work_is_a_usage_error(source: str, message: str) -> None:
    """Text outside of the blocks was dropped in silence.

    Errors other than Jinja's own ended in a traceback that asked the user to report a bug.
    """
    with pytest.raises(UsageError, match=message):
        render(source)


def test_a_byte_order_mark_is_not_sent(tmp_path: Path) -> None:
    path = tmp_path / "mine.jinja2"
    path.write_bytes(b"\xef\xbb\xbf{% block user %}{{ problem }}{% endblock %}")
    assert PromptTemplate.from_file(path).render(CONTEXT).messages[0].content == "Say it twice."


def test_every_bundled_prompt_tells_of_the_update_only_if_it_should() -> None:
    for name in ("arena", "arena-mini"):
        task = create_task(name)
        problem = create_task("arena-mini").load(None, skip_bad_rows=False).problems[0]
        for variant in task.spec.prompts.values():
            template = PromptTemplate.from_file(variant.path)
            told, untold = (
                template.render({**problem.context, "update_note": note}) for note in (True, False)
            )
            text = "".join(m.content for m in told.messages)
            assert problem.context["docstring"].strip() in text
            assert problem.context["problem"].strip() in text
            without = "".join(m.content for m in untold.messages)
            assert problem.context["docstring"].strip() not in without
            assert problem.context["description"].strip() not in without
            assert prompt_hash(told) != prompt_hash(untold)
