"""Reading signatures and docstrings in releases, and answers of releases that are hostile."""

from __future__ import annotations

import base64
import json
import subprocess
import zlib
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from fake_sandbox import FakeSandbox

from recode_eval import RunConfig, SandboxOptions
from recode_eval.documentation import docstrings
from recode_eval.documentation.block import framed
from recode_eval.documentation.docstrings import MOST_CHARS, ApiFacts, read_docs, shortened
from recode_eval.documentation.signatures import ask
from recode_eval.run.docs import Documentation
from recode_eval.run.sandboxes import Sandboxes
from recode_eval.run.session import prompt_settings
from recode_eval.sandbox import open_router
from recode_eval.sandbox.base import Execution, SandboxCrashError, Status, TestVerdict
from recode_eval.sandbox.locks import NoSuchReleaseError
from recode_eval.sandbox.requirements import get_environment
from recode_eval.sandbox.venvs import ensure_venv
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


def installed_docstring(environment: str, path: str) -> str:
    """Ask the release directly, with the interpreter of its own environment."""
    module, _, member = path.partition(".")
    program = f"import inspect, {module}; print(inspect.getdoc({module}.{member}))"
    python = ensure_venv(get_environment(environment)).python
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_exact_prompts_of_a_migration() -> None:
    loaded = load_task("migration")
    problem = loaded.problem("itsdangerous-cookie-age")
    config = RunConfig(
        model="", tasks=["migration"], problems=[problem.id],
        docs=["none", "note", "signature", "wrong-version", "changelog"],
        sandbox=SandboxOptions(tier="landlock", workers=1),
    )  # fmt: skip
    shown: dict[str, str] = {}
    with Sandboxes(config.sandbox) as sandboxes:
        documentation = Documentation(config, sandboxes, lambda _: None)
        settings, _ = prompt_settings(config, loaded.task)
        for arm in documentation.arms:
            docs = documentation.of(loaded, arm)
            asked = replace(settings, docs=docs, update_note=arm.name == "note")
            [message] = asked.render(problem).messages
            shown[arm.name] = message.content
    note = problem.payload.update_info
    none = shown["none"]
    assert note not in none
    assert none.startswith(
        "Rewrite this Python program, written for itsdangerous 1.1.0, for itsdangerous 2.2.0.\n\n"
        "What the program does: "
    )
    start, end = none.split("\n\nWhat the program does: ")
    assert shown["note"] == (f"{start}\n\nWhat has changed: {note}\n\nWhat the program does: {end}")
    api = "itsdangerous.TimestampSigner.unsign"
    old = "unsign(self, value, max_age=None, return_timestamp=False)"
    new = (
        "unsign(self, signed_value: 'str | bytes', max_age: 'int | None' = None, "
        "return_timestamp: 'bool' = False) -> 'tuple[bytes, datetime] | bytes'"
    )
    text = (
        f"{api} in itsdangerous 1.1.0: {old}\n\n{api} in itsdangerous 2.2.0: {new}\n\n"
        f"{installed_docstring('itsdangerous-2.2.0', api)}"
    )
    assert shown["signature"] == f"{framed(text)}\n\n{none}"
    text = f"{api}: {old}\n\n{installed_docstring('itsdangerous-1.1.0', api)}"
    assert shown["wrong-version"] == f"{framed(text)}\n\n{none}"
    title = "itsdangerous 2.2.0, what has changed since 1.1.0:"
    assert shown["changelog"].startswith(framed(f"{title}\n\n- ").split("\n</")[0].rstrip())
    assert f"\n\n- {note}\n\n- " in shown["changelog"]
    assert shown["changelog"].endswith(f"\n</documentation>\n\n{none}")
