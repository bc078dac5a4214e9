"""Reading signatures and docstrings in releases, and answers of releases that are hostile."""

from __future__ import annotations

import base64
import json
import zlib
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest
from fake_sandbox import FakeSandbox

from recode_eval.documentation import docstrings
from recode_eval.documentation.docstrings import MOST_CHARS, ApiFacts, read_docs, shortened
from recode_eval.documentation.signatures import ask
from recode_eval.sandbox import open_router
from recode_eval.sandbox.base import Execution, SandboxCrashError, Status, TestVerdict
from recode_eval.sandbox.locks import NoSuchReleaseError
from recode_eval.tasks.loading import load_task
from recode_eval.tasks.signatures import read_signatures

if TYPE_CHECKING:
    from pathlib import Path

    from recode_eval.sandbox.base import Limits, Program


class Answering(FakeSandbox):
    """Hands over lines of its own, or fails."""

    def __init__(self, lines: list[str], error: Exception | None = None) -> None:
        super().__init__()
        self.lines, self.error = lines, error

    def submit(self, program: Program, limits: Limits) -> Future[Execution]:
        del limits
        self.programs.append(program)
        future: Future[Execution] = Future()
        if self.error is not None:
            future.set_exception(self.error)
            return future
        mark = json.loads(program.candidate.split("loads('")[1].split("')")[0])["mark"]
        packed = base64.b64encode(zlib.compress("\n".join(self.lines).encode())).decode()
        verdict = TestVerdict("ran", Status.PASSED)
        future.set_result(Execution((verdict,), output=f"\n{mark}{packed}{mark}\n"))
        return future


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def folder(*parts: str) -> Path:
        made = tmp_path.joinpath("cache", *parts)
        made.mkdir(parents=True, exist_ok=True)
        return made

    monkeypatch.setattr(docstrings, "cache_dir", folder)


def read(sandbox: Any, *paths: str) -> dict[str, ApiFacts]:
    found = read_docs([(None, path) for path in paths], "mini", lambda: sandbox)
    return {path: fact for (_, path), fact in found.items()}


def test_hostile_lines_are_passed_over() -> None:
    lines = [
        "", "not json", "[" * 100_000, "[1, 2]", "{}", '["x.f", "there", 1, ""]',
        '["y.g", "there", "g()", "of nobody who was asked"]',
        '["x.f", "there", "f(\\u001b[31m\\n x)", "Red \\u001b[31m\\u0000 \\ud800 text\\n\\ttab"]',
        '["x.f", "there", "second()", "a second answer"]',
        '["x.gone", "absent", "", ""]',
        '["x.lost", "unreadable", "Evil\\u001bError", ""]',
    ]  # fmt: skip
    found = read(Answering(lines), "x.f", "x.gone", "x.lost", "x.silent")
    assert found["x.f"] == ApiFacts("f(\\x1b[31m x)", "Red [31m ? text\n\ttab")
    assert found["x.gone"].absent
    assert not found["x.lost"].absent
    assert "\x1b" not in found["x.lost"].why
    assert "says nothing" in found["x.silent"].why


def test_long_docstrings_are_cut_and_say_so() -> None:
    row = ["x.f", "there", "f" * 9000, "word " * 4000]
    found = read(Answering([json.dumps(row)]), "x.f")["x.f"]
    assert found.signature is not None
    assert len(found.signature) == 2000
    assert found.docstring.endswith("[The text goes on; shown are its first 2,500 characters.]")
    assert len(found.docstring) < MOST_CHARS + 100
    assert shortened("short\x00") == "short"


def test_a_release_that_cannot_be_built_lacks_material_and_a_crash_is_an_error() -> None:
    gone = read(Answering([], NoSuchReleaseError("no wheels of x 1.0")), "x.f")["x.f"]
    assert gone.why == "no wheels of x 1.0"
    with pytest.raises(SandboxCrashError):
        read(Answering([], SandboxCrashError("lost")), "x.f")


def test_an_answer_is_kept_and_a_damaged_one_is_asked_again(tmp_path: Path) -> None:
    sandbox = Answering(['["x.f", "there", "f()", "Does it."]'])
    first = read(sandbox, "x.f")
    assert read(sandbox, "x.f") == first == {"x.f": ApiFacts("f()", "Does it.")}
    assert len(sandbox.programs) == 1
    [file] = (tmp_path / "cache/docs").iterdir()
    file.write_text("damaged")
    assert read(sandbox, "x.f") == first
    assert len(sandbox.programs) == 2
    incomplete = Answering([])
    read(incomplete, "x.g")
    read(incomplete, "x.g")
    assert len(incomplete.programs) == 2  # what was not answered is not kept


def test_signatures_and_docstrings_of_installed_libraries() -> None:
    names = [
        "numpy.interp", "math.prod", "collections.Counter.total", "pandas.Series.dt.year",
        "json.decoder", "numpy.no_such", "collections.Counter.no_such", "no_such_library.f",
        "fractions.Fraction.numerator", "sys.maxsize",
    ]  # fmt: skip
    with open_router("landlock", workers=1) as sandbox:
        found = read(sandbox, *names)
    assert found["math.prod"].signature == "prod(iterable, /, *, start=1)"
    assert found["math.prod"].docstring.startswith("Calculate the product")
    assert found["numpy.interp"].signature.startswith("interp(x, xp, fp")
    assert found["collections.Counter.total"].signature == "total(self)"
    assert found["fractions.Fraction.numerator"].signature == "numerator (a property)"
    assert found["json.decoder"].signature == "decoder"
    assert found["sys.maxsize"] == ApiFacts("maxsize")
    for name in ("numpy.no_such", "collections.Counter.no_such"):
        assert found[name].absent
    assert "ModuleNotFoundError" in found["no_such_library.f"].why


def test_committed_signatures_are_those_of_the_releases() -> None:
    """A few are asked again; `recode-eval docs make` asks all."""
    loaded = load_task("migration")
    few = [one for one in loaded.problems if one.payload.dependency in {"bidict", "pyjwt"}][:3]
    mini = load_task("arena-mini")
    with open_router("landlock", workers=1) as sandbox:
        for task, problems in ((loaded.task, few), (mini.task, mini.problems[:8])):
            known = read_signatures(task.spec.folder / "signatures.json")

            def asked(wanted: Any) -> Any:
                return read_docs(wanted, "mini", lambda: sandbox)

            found, lost = ask(task, problems, asked)
            assert not lost
            assert found
            for name, apis in found.items():
                assert {path: known[name][path] for path in apis} == apis
