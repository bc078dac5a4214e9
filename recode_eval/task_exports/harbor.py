"""Tasks for harbor: a folder per problem with two images, that of the agent and of the verifier.

The verifier's image, made from `tests/`, has the hidden tests, the reference and the grader; the
agent's container never does. Of what the agent did, one folder is copied to the verifier, and one
file of it is graded (docs/integrations.md says what that protects from).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import UsageError
from recode_eval.sandbox.requirements import get_environment
from recode_eval.sandbox.runtimes import PYTHON
from recode_eval.task_exports import ExportOptions, TaskFile, prompts
from recode_eval.task_exports.harbor_images import LOCK, Image, grader_archive

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from recode_eval.models.base import Prompt
    from recode_eval.sandbox.base import Program
    from recode_eval.tasks.base import Problem
    from recode_eval.tasks.loading import LoadedTask

SCHEMA: Final = "1.4"
"""Of task.toml, as harbor 0.26 writes it."""
ANSWERS: Final = "/app/answer"
ANSWER: Final = f"{ANSWERS}/solution.py"
_OLD: Final = "old_program.py"
_AGENT_S: Final = 900.0
_BUILD_S: Final = 1800.0
_PER_TEST_S: Final = 60.0
_LONGEST_S: Final = 3000.0
_OVER_S: Final = 900.0
"""What the verifier has beside the time for the answer: starting, and the reference twice."""
_MEMORY_MB: Final = 6144
"""A program may address 4 GiB, and the grader needs some, too."""

_TEST_SH: Final = """\
#!/bin/sh
# Writes /logs/verifier/reward.json, or nothing if this container cannot grade.
if [ ! -d /opt/recode-eval/grader ]; then
    echo "UNSCORED: this verifier needs the container that tests/Dockerfile describes" >&2
    exit 1
fi
exec python3 -I -S -B /opt/recode-eval/grader
"""
_SOLVE_SH: Final = f"""\
#!/bin/sh
set -e
mkdir -p {ANSWERS}
cp "$(dirname "$0")/solution.py" {ANSWER}
"""


def files(loaded: LoadedTask, options: ExportOptions) -> Iterator[TaskFile]:
    """Yield the files of every problem.

    Raises:
        UsageError: the task has no tests, is not in Python, or needs a Python that the grader does
            not run on; or a prompt has more than a system and a user message.
        SandboxBuildError: the wheels cannot be fetched.
    """
    spec = loaded.task.spec
    if not loaded.task.conditions:
        raise UsageError(f"The task {spec.name} has no tests, so harbor has nothing to verify.")
    if spec.language != PYTHON:
        raise UsageError(
            f"The task {spec.name} is in {spec.language}, and the grader that goes into harbor's "
            "containers runs Python alone."
        )
    images: dict[str, Image] = {}
    taken: set[str] = set()
    grader = grader_archive()
    for problem, prompt in prompts(loaded, options):
        program = loaded.task.programs(problem, "")[loaded.task.conditions[0]]
        name = program.environment or spec.environment
        if name not in images:
            images[name] = Image(get_environment(name), options.base_image, wheels=options.wheels)
        folder = _folder(problem.id, taken)
        one = _HarborTask(loaded, problem, prompt, program, images[name], grader, folder)
        for file in one.files():
            path = f"{spec.name}/{folder}/{file.path}"
            yield TaskFile(path, file.text, file.executable, file.source)


@dataclass(frozen=True, slots=True)
class _HarborTask:
    """One problem as a task of harbor."""

    loaded: LoadedTask
    problem: Problem
    prompt: Prompt
    program: Program
    image: Image
    grader: Path
    folder: str

    def files(self) -> Iterator[TaskFile]:
        """Yield its files, below its folder."""
        old = self.problem.context.get("old_code")
        yield TaskFile("task.toml", self._config())
        yield TaskFile("instruction.md", self._instruction(told_old=old is not None))
        yield TaskFile("environment/Dockerfile", self._agent_image(with_old=old is not None))
        yield from self.image.files("environment")
        if old is not None:
            yield TaskFile(f"environment/{_OLD}", f"{old.rstrip()}\n")
        yield TaskFile("tests/Dockerfile", self._verifier_image())
        yield from self.image.files("tests")
        yield TaskFile("tests/grader.tar.gz", source=self.grader)
        yield TaskFile("tests/problem.json", json.dumps(self._graded(), indent=1) + "\n")
        yield TaskFile("tests/test.sh", _TEST_SH, executable=True)
        yield TaskFile("solution/solve.sh", _SOLVE_SH, executable=True)
        yield TaskFile("solution/solution.py", f"{self.problem.solutions['reference'].rstrip()}\n")

    def _instruction(self, *, told_old: bool) -> str:
        roles = [message.role for message in self.prompt.messages]
        if self.prompt.prefill or roles not in (["user"], ["system", "user"]):
            raise UsageError(
                f"The prompt of {self.problem.id} opens the answer or shows an example, which "
                "harbor's instructions cannot; choose another with --prompt."
            )
        old = f" The program above is in `/app/{_OLD}`." if told_old else ""
        return (
            "\n\n".join(message.content for message in self.prompt.messages)
            + f"\n\n---\n\nInstead of answering in text, write the whole program to `{ANSWER}`. "
            "Nothing but this file is graded, by tests that you do not see.\n\n"
            f"`python` has the libraries of `/app/{LOCK}` installed.{old} There is no network.\n"
        )

    def _agent_image(self, *, with_old: bool) -> str:
        old = f" {_OLD}" if with_old else ""
        return (
            f"{self.image.recipe()}COPY {LOCK}{old} /app/\nRUN mkdir -p {ANSWERS}\nWORKDIR /app\n"
        )

    def _verifier_image(self) -> str:
        return (
            f"{self.image.recipe()}"
            "ADD grader.tar.gz /opt/recode-eval/grader/\n"
            "COPY problem.json test.sh /tests/\n"
            "RUN chmod 0700 /tests /tests/test.sh\n"
            "WORKDIR /\n"
        )

    def _graded(self) -> dict[str, Any]:
        """Return what the grader is told (`harbor_grader`)."""
        return {
            "answer": ANSWER,
            "setup": self.program.setup,
            "tests": [[test.name, test.code] for test in self.program.tests],
            "preload": sorted(self.program.preload),
            "reference": self.problem.solutions["reference"],
            "deadline_s": self._deadline_s(),
        }

    def _deadline_s(self) -> float:
        """Return when an answer that only waits is wrong, before harbor would end the verifier."""
        return min(_LONGEST_S, _PER_TEST_S * (2 + len(self.program.tests)))

    def _config(self) -> str:
        spec, row = self.loaded.task.spec, self.problem.payload
        own = {"network_mode": "no-network", "build_timeout_sec": _BUILD_S, "cpus": 1}
        own |= {"memory_mb": _MEMORY_MB}
        metadata: dict[str, Any] = {
            "task": spec.name,
            "task_version": spec.version,
            "problem_id": self.problem.id,
            "cluster": self.problem.cluster,
            "data_hash": self.loaded.data.content_hash,
            "environment": self.image.environment.name,
            "environment_hash": self.image.environment.key,
        }
        if license_ := getattr(row, "license", ""):
            metadata["license"] = license_
        tables: dict[str, Mapping[str, Any]] = {
            "task": {
                "name": f"recode-eval/{spec.name}-{self.folder}",
                "version": str(spec.version),
                "description": " ".join(spec.description.split()),
            },
            "metadata": metadata,
            "metadata.tags": self.problem.tags,
            "agent": {"timeout_sec": _AGENT_S},
            "environment": own,
            "verifier": {
                "timeout_sec": self._deadline_s() + _OVER_S,
                "environment_mode": "separate",
                "user": "root",
            },
            "verifier.environment": own,
        }
        lines = [f"schema_version = {toml_value(SCHEMA)}", f"artifacts = [{toml_value(ANSWERS)}]"]
        for table, content in tables.items():
            lines += ["", f"[{table}]"]
            lines += [f"{_key(k)} = {toml_value(v)}" for k, v in content.items()]
        # An answer's folder that the agent removed is an answer without a program.
        lines += ["", "[[verifier.collect]]", f"command = {toml_value(f'mkdir -p {ANSWERS}')}"]
        return "\n".join(lines) + "\n"


def toml_value(value: str | float) -> str:
    r"""Return a text or a number as TOML spells it.

    >>> print(toml_value('a "b"\n'), toml_value(900.0), toml_value(True))
    "a \"b\"\n" 900.0 true
    """
    if not isinstance(value, str):
        return json.dumps(value)
    # JSON's escapes are TOML's, but for DEL, which JSON leaves alone, and lone surrogates.
    spelt = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return re.sub(r"[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", spelt)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml_value(name)


def _folder(problem_id: str, taken: set[str]) -> str:
    """Return a name for a problem's folder, and part of image names; adds it to `taken`."""
    plain = re.sub(r"[^A-Za-z0-9_.]+", "-", problem_id).strip("-._")[:60].rstrip("-._")
    # Some file systems take names for one that differ in capitals only.
    if not plain or plain != problem_id or plain.lower() in taken:
        digest = hashlib.sha256(problem_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        plain = f"{plain}-{digest}" if plain else digest
    taken.add(plain.lower())
    return plain
