from __future__ import annotations

import os
import tempfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@given(st.text())
def test_a_files_text_reaches_the_prompt_as_it_is(text: str) -> None:
    """What looks like a template in the file is text, and what a run stores needs no file."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "AGENTS.md").write_text(text, encoding="utf-8", newline="")
        template = Path(folder) / "agents.jinja2"
        template.write_text('{% block user %}[{{ file("AGENTS.md") }}]{% endblock %}')
        made = PromptTemplate.from_file(template)
    read = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    again = PromptTemplate(made.source, "prompt.jinja2")
    assert again.render({}).messages[0].content == f"[{read}]"
    assert made.content_hash == again.content_hash


def test_another_file_gives_another_hash(tmp_path: Path) -> None:
    template = tmp_path / "agents.jinja2"
    template.write_text('{{ file("sub/AGENTS.md") }}')
    (tmp_path / "sub").mkdir()
    hashes = set()
    for text in ("one", "two"):
        (tmp_path / "sub" / "AGENTS.md").write_text(text)
        hashes.add(PromptTemplate.from_file(template).content_hash)
    assert len(hashes) == 2


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "link", "absent.md"])
def test_a_template_reads_only_its_own_folder(tmp_path: Path, name: str) -> None:
    """A task of somebody else must not send this machine's files to a server."""
    folder = tmp_path / "task"
    folder.mkdir()
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    template = folder / "agents.jinja2"
    template.write_text(f'{{{{ file("{name}") }}}}')
    with pytest.raises(UsageError, match=r"is not in|cannot read"):
        PromptTemplate.from_file(template)


@given(st.text(alphabet="{}%# \\\"'\nraw-éend", max_size=40))
def test_any_text_of_a_file_is_told_as_it_is(text: str) -> None:
    """In a comment, `#}` of the file's text ended the comment: what followed was a template."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "A.md").write_text(text, encoding="utf-8", newline="")
        (folder / "t.jinja2").write_text('{# {{ file("A.md") }} #}<{{ file("A.md") }}>')
        prompt = PromptTemplate.from_file(folder / "t.jinja2").render({})
    assert prompt.messages[0].content == f"<{text}>"


@pytest.mark.parametrize(
    "written",
    ["{{ file('A.md') }}", '{{ file("A.md") | trim }}', '{% if file("A.md") %}{% endif %}'],
)
def test_another_way_to_write_a_file_is_explained(tmp_path: Path, written: str) -> None:
    """The message was "'file' is undefined", and came with the first prompt."""
    (tmp_path / "A.md").touch()
    (tmp_path / "t.jinja2").write_text(f"one\n{written}")
    with pytest.raises(UsageError, match=r"line 2: write \{\{ file"):
        PromptTemplate.from_file(tmp_path / "t.jinja2")
    assert PromptTemplate("{{ file }}", "t").render({"file": "x"}).messages[0].content == "x"


def test_what_is_no_file_is_named_and_waits_for_nobody(tmp_path: Path) -> None:
    """A pipe was waited for without end; a zero byte in the name ended in a traceback."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("pipe", ".", "a\0b", "loop", "absent", "n" * 300):
        (tmp_path / "t.jinja2").write_text('{{ file("' + name + '") }}')
        with pytest.raises(UsageError, match=r"no file|cannot read"):
            PromptTemplate.from_file(tmp_path / "t.jinja2")
