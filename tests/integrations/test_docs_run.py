"""The blocks of docs/integrations.md, executed with the real programs.

Every section with a block has a case here: another program's environment, what stands in for the
reader's model and data, and what must come out. A block without a case is an error.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from peers import CHECKOUT, installed
from stream_server import StreamServer
from verdict_roads import BASE_IMAGE, remove_labelled

from recode_eval import load_task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HERE = Path(__file__).parent
PAGE = CHECKOUT / "docs" / "integrations.md"
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
SERVER = "http://localhost:8000/v1"
SOLVER = """
from inspect_ai.model import ModelOutput
from inspect_ai.solver import solver
@solver
def fixed():
    async def solve(state, generate):
        state.output = ModelOutput.from_content("mockllm/model", "no code")
        return state
    return solve
"""


@dataclass(frozen=True)
class Case:
    """How one section's block is run."""

    peer: str = ""
    """The environment whose programs it calls."""
    swaps: Mapping[str, str] = field(default_factory=dict)
    """Words of the page, and what stands in their place: a smaller selection, another model. Each
    must occur; `{folder}` is the folder that it runs in."""
    prepare: Callable[[Path], None] = lambda _: None
    between: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)
    """What happens before the line that begins so: what a reader does there."""
    check: Callable[[Path, list[str]], None] = lambda _, __: None
    """Gets the folder and what each line printed."""
    marks: tuple[Any, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def with_a_solver(folder: Path) -> None:
    (folder / "fixed.py").write_text(SOLVER)


def inspect_logs(folder: Path, _: list[str]) -> None:
    logs = [json.loads(path.read_text()) for path in (folder / "logs").glob("*.json")]
    assert {log["eval"]["task"] for log in logs} == {
        "recode_eval/arena_mini", "recode_eval/migration",
    }  # fmt: skip
    assert {log["status"] for log in logs} == {"success"}
    [migration] = [log for log in logs if log["eval"]["task"].endswith("migration")]
    assert all("<documentation>" in s["input"][0]["content"] for s in migration["samples"])


def with_a_tiny_model(folder: Path) -> None:
    pytest.importorskip("torch")
    from models.tiny_model import build_checkpoint

    build_checkpoint(folder / "model", context=4096)
    # What loads the model is the test environment's own, behind what lm-eval brings itself.
    behind = f"import sys; sys.path.append({sysconfig.get_paths()['purelib']!r})\n"
    (folder / "sitecustomize.py").write_text(behind)


def as_if_measured_before(folder: Path) -> None:
    shutil.copytree(folder / "out" / "new", folder / "out" / "old")


def two_inspect_logs(folder: Path) -> None:
    python = Path(os.environ["RECODE_EVAL_PEERS"], "inspect_ai", "bin", "python")
    for name, chance in (("old", "0.3"), ("new", "0.9")):
        words = [str(HERE / "inspect_sums.py"), str(folder / name), "eval", chance, "1", "yes"]
        subprocess.run([str(python), *words, "90"], check=True, capture_output=True, timeout=300)
        (folder / "logs").mkdir(exist_ok=True)
        [made] = (folder / name).glob("*.eval")
        made.rename(folder / "logs" / f"{name}.eval")


def answered(folder: Path) -> None:
    """Answer the exported prompts: with the reference, as a very good model would."""
    task = load_task("arena-mini")
    lines = map(json.loads, (folder / "prompts" / "arena-mini.jsonl").read_text().splitlines())
    with (folder / "answers.jsonl").open("w") as file:
        for line in lines:
            code = task.problem(line["task_id"]).solutions["reference"]
            text = f"```python\n{code}\n```"
            file.write(json.dumps({"task_id": line["task_id"], "completion": text}) + "\n")


def printed(line: int, text: str) -> Callable[[Path, list[str]], None]:
    def check(_: Path, outputs: list[str]) -> None:
        assert text in outputs[line], outputs[line]

    return check


def harbor_rewards(folder: Path, outputs: list[str]) -> None:
    remove_labelled("docs")
    found = [json.loads(path.read_text()) for path in (folder / "jobs").glob("*/*/result.json")]
    rewards = sorted(result["verifier_result"]["rewards"]["reward"] for result in found)
    assert rewards == [0.0, 1.0], outputs


SLOW = (pytest.mark.slow,)
BUILT_HERE = f"--wheels --base-image {BASE_IMAGE}"
PLAIN_DOCKER = "--env harbor_docker:PlainDocker --yes --n-tasks 1"
CASES = {
    "inspect_ai: our tasks and grader": Case(
        peer="inspect_ai",
        prepare=with_a_solver,
        swaps={
            "--model openai/gpt-4o-mini --epochs 5": "--model mockllm/model --epochs 2 "
            "--solver fixed.py@fixed --limit 2 -T sandbox=landlock --log-format json",
            "--model hf/Qwen/Qwen2.5-Coder-1.5B": "--model mockllm/model "
            "--solver fixed.py@fixed --limit 2 -T sandbox=landlock --log-format json",
        },
        check=inspect_logs,
        marks=SLOW,
    ),
    "lm-eval: our tasks and grader": Case(
        peer="lm_eval",
        prepare=with_a_tiny_model,
        between={"recode-eval compare": as_if_measured_before},
        swaps={
            "--tasks arena-mini,migration": "--tasks arena-mini,migration --limit 2",
            "pretrained=Qwen/Qwen2.5-Coder-1.5B-Instruct": "pretrained={folder}/model,"
            "dtype=float32 --device cpu --gen_kwargs max_gen_toks=16",
        },
        check=printed(-1, "pass@1"),
        marks=SLOW,
    ),
    "verifiers: our tasks as a taskset": Case(
        peer="verifiers",
        swaps={"--select.limit 20": "--select.limit 2 --taskset.sandbox landlock",
               "-n 20": "-n 2 --env.taskset.sandbox landlock --client.api-key-var NONE",
               SERVER: "{server}"},
        check=printed(-1, "passes 1.00"),
        marks=SLOW,
    ),
    "harbor: a container per problem": Case(
        peer="harbor",
        swaps={"--tasks migration": f"--tasks migration --limit 1 {BUILT_HERE}",
               "--agent oracle --n-tasks 5": f"--agent oracle {PLAIN_DOCKER}",
               "--agent nop --n-tasks 5": f"--agent nop {PLAIN_DOCKER}"},
        environment={"RECODE_HARBOR_LABEL": "docs", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        check=harbor_rewards,
        marks=(*SLOW, pytest.mark.docker),
    ),
    "Prompts for other programs": Case(
        between={"recode-eval --model": answered},
        swaps={"--tasks arena-mini --out": "--tasks arena-mini --limit 4 --out",
               "replay:answers.jsonl": "replay:answers.jsonl --limit 4 --sandbox landlock"},
        check=printed(-1, "100.0"),
        marks=SLOW,
    ),
    "Logs of other harnesses": Case(
        peer="inspect_ai",
        prepare=two_inspect_logs,
        check=printed(0, "pass@1"),
        marks=SLOW,
    ),
    "Is your grader sound?": Case(check=printed(0, "WRONG REWARD: forged: equals everything"),
                                  marks=SLOW),
}  # fmt: skip


@dataclass(frozen=True)
class Block:
    """A fenced block with the section that it stands in."""

    section: str
    language: str
    code: str

    def lines(self) -> list[str]:
        """Return its commands; a block of Python is one."""
        if self.language == "python":
            return ["python block.py"]
        return [line for line in self.code.replace("\\\n", " ").splitlines() if line.strip()]


def blocks(text: str) -> list[Block]:
    found = []
    for part in re.split(r"^## ", text, flags=re.MULTILINE):
        section, _, body = part.partition("\n")
        found += [Block(section, m["language"], m["code"]) for m in FENCE.finditer(body)]
    return found


BLOCKS = blocks(PAGE.read_text(encoding="utf-8"))


def test_every_block_has_a_case_and_every_case_a_block() -> None:
    assert {block.section for block in BLOCKS} == CASES.keys()
    assert all(block.language in {"bash", "python"} for block in BLOCKS)
    assert len({block.section for block in BLOCKS}) == len(BLOCKS)
    text = "# Page\n```bash\na \\\n  b\n\nc\n```\n## One\ntext\n```python\nx\n```\n"
    assert blocks(text) == [
        Block("# Page", "bash", "a \\\n  b\n\nc\n"),
        Block("One", "python", "x\n"),
    ]
    assert blocks(text)[0].lines() == ["a    b", "c"]


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, marks=CASES[block.section].marks, id=block.section)
        for block in BLOCKS
        if block.section in CASES
    ],
)
def test_a_block_runs(block: Block, tmp_path: Path, peer_python: Callable[[str], str]) -> None:
    case = CASES[block.section]
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, words in (("recode-eval", [sys.executable, "-m", "recode_eval"]),):
        (programs / name).write_text(
            f'#!/bin/sh\nPYTHONPATH={CHECKOUT} exec {" ".join(words)} "$@"\n'
        )
        (programs / name).chmod(0o755)
    folder = tmp_path / "reader"
    folder.mkdir()
    path = [str(programs)]
    environment = {**os.environ, **installed(folder), **case.environment}
    environment["PYTHONPATH"] += os.pathsep + str(HERE)
    if case.peer:
        path.append(str(Path(peer_python(case.peer)).parent))
    elif block.language == "python":
        path.append(str(Path(sys.executable).parent))
    environment["PATH"] = os.pathsep.join([*path, os.environ["PATH"]])
    (folder / "block.py").write_text(block.code)
    case.prepare(folder)
    served = SERVER in block.code
    left = dict(case.swaps)
    with StreamServer(reference_of_arena_mini) if served else nullcontext() as server:
        outputs = []
        for line in block.lines():
            if line.startswith("pip install"):
                extra_exists(line)
                continue
            for start, act in case.between.items():
                if line.startswith(start):
                    act(folder)
            changed = line
            for words, others in case.swaps.items():
                if words in changed:
                    left.pop(words, None)
                    url = "" if server is None else server.url
                    changed = changed.replace(words, others.format(folder=folder, server=url))
            done = subprocess.run(["bash", "-c", changed], cwd=folder, env=environment, text=True,
                                  capture_output=True, check=False, timeout=500)  # fmt: skip
            said = done.stdout + done.stderr
            assert done.returncode == 0, f"{changed}\n{said[-4000:]}"
            outputs.append(said)
    assert not left, f"not on the page any more: {list(left)}"
    assert outputs
    case.check(folder, outputs)


def extra_exists(line: str) -> None:
    """What `pip install` brings is there already; the page must name an extra that exists."""
    extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    match = re.fullmatch(r"pip install '?recode-eval(\[(?P<extra>[\w-]+)\])?'?", line)
    assert match, line
    assert match["extra"] is None or match["extra"] in extras["optional-dependencies"]


def reference_of_arena_mini(asked: str) -> str:
    for problem in load_task("arena-mini").problems:
        if problem.context["problem"] in asked:
            return f"```python\n{problem.solutions['reference']}\n```"
    return "I do not know."
