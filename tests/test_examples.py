"""Every example in a docstring or in the documentation runs, or says why it cannot.

In Markdown a line `<!-- not run: REASON -->` above a block of Python excuses it. Commands in shell
blocks are parsed, which finds options that no longer exist; they are not executed.
"""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import recode_eval
import recode_train

if TYPE_CHECKING:
    from types import ModuleType

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("closed_rewards")]

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")])
FENCE = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+) -->\n)?"
    r"^```(?P<language>python|sh|bash)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
PROGRAMS = ("recode-eval", "recode-train")
WITH_A_MODEL = {"recode_train.comparing.running", "recode_train.trainers.running"}
"""Their examples train: `tests/train/test_train_api.py` makes a model and runs them."""

NEEDS = {"recode_train.checkpoint_gate": "transformers"}
"""What an example needs that the tests may have to do without."""


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: str
    line: int
    language: str
    code: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: str, text: str) -> list[Block]:
    return [
        Block(page, text[: m.start()].count("\n") + 1, m["language"], m["code"], m["reason"])
        for m in FENCE.finditer(text)
    ]


BLOCKS = [
    block
    for page in PAGES
    for block in blocks_of(str(page.relative_to(ROOT)), page.read_text(encoding="utf-8"))
]
PYTHON = [block for block in BLOCKS if block.language == "python"]


def modules_with_examples() -> list[str]:
    found = []
    for package in (recode_eval, recode_train):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            spec = importlib.util.find_spec(module.name)
            if spec is not None and spec.origin and ">>> " in Path(spec.origin).read_text("utf-8"):
                found.append(module.name)
    return [name for name in found if name not in WITH_A_MODEL]


def run_doctests(module: ModuleType, runs: Path) -> doctest.TestResults:
    return doctest.testmod(module, extraglobs={"runs": runs}, optionflags=doctest.ELLIPSIS)


@pytest.mark.parametrize("name", modules_with_examples())
def test_the_examples_of_a_module(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`runs` is a name that they may use: an empty folder."""
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"{name} needs the extra `train`")
    monkeypatch.chdir(tmp_path)
    found = run_doctests(importlib.import_module(name), tmp_path / "runs")
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize("block", [b for b in PYTHON if b.reason is None], ids=str)
def test_the_python_of_the_documentation(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each block stands alone, in a folder of its own: a reader copies one, not all."""
    monkeypatch.chdir(tmp_path)
    code = compile("\n" * block.line + block.code, str(ROOT / block.page), "exec")
    exec(code, {"__name__": "__main__"})


@pytest.mark.parametrize("block", [b for b in PYTHON if b.reason is not None], ids=str)
def test_what_cannot_run_is_python_at_least(block: Block) -> None:
    compile(block.code, block.page, "exec")
    assert block.reason
    assert len(block.reason) > 10


def commands_of(code: str) -> list[list[str]]:
    """Return the words of each command of ours, without redirections and what a pipe feeds."""
    found = []
    for line in code.replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|\|\||;|\|", line):
            try:
                words = shlex.split(part, comments=True)
            except ValueError:  # a quotation that goes over several lines
                continue
            while words and re.fullmatch(r"\w+=.*", words[0]):
                words = words[1:]
            if words and words[0] in PROGRAMS:
                end = next((i for i, word in enumerate(words) if re.match(r"\d?[<>&]", word)), None)
                found.append(words[:end])
    return found


SHELL = [
    (str(block), words)
    for block in BLOCKS
    if block.language != "python"
    for words in commands_of(block.code)
]


@pytest.mark.parametrize(("place", "words"), SHELL, ids=[place for place, _ in SHELL])
def test_the_commands_of_the_documentation_parse(
    place: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert parses(words), f"{place}: {shlex.join(words)}\n{capsys.readouterr().err}"


def parses(words: list[str]) -> bool:
    program, *arguments = words
    if program == "recode-eval":
        from recode_eval.cli import create_parser

        if arguments and arguments[0].startswith("-") and arguments[0] not in {"-h", "--help"}:
            arguments = ["run", *arguments]
    else:
        from recode_train.cli import create_parser
    try:
        create_parser().parse_args(arguments)
    except SystemExit as end:
        return end.code == 0  # `--help`
    return True


def test_the_search_finds_blocks_and_excuses() -> None:
    """A pattern that matches nothing would pass everything above."""
    text = "a\n```python\nx = 1\n```\n<!-- not run: needs a GPU -->\n```python\ny\n```\n"
    text += "```sh\nls\n```\n"
    first, second, third = blocks_of("p.md", text)
    assert (first.line, first.code, first.reason) == (2, "x = 1\n", None)
    assert (second.reason, third.language) == ("needs a GPU", "sh")
    assert commands_of(
        "X=1 recode-eval demo > log 2>&1 && recode-train sft \\\n  --model 'a b'\n"
    ) == [
        ["recode-eval", "demo"],
        ["recode-train", "sft", "--model", "a b"],
    ]
    assert not parses(["recode-eval", "--modle", "x", "--tasks", "arena"])
    assert not parses(["recode-train", "sfd"])
    assert len(PYTHON) >= 4
    assert len(SHELL) >= 20
    assert "recode_eval.api" in modules_with_examples()


def test_a_wrong_example_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "wrong_example.py").write_text('"""\n>>> 1 + 1\n3\n"""\n')
    spec = importlib.util.spec_from_file_location("wrong_example", tmp_path / "wrong_example.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert run_doctests(module, tmp_path).failed == 1
