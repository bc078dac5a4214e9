"""The blocks of docs/integrations.md, executed with the real programs.

Every section with a block has a case here: another program's environment, what stands in for the
reader's model and data, and what must come out. A block without a case is an error.
"""

from __future__ import annotations

import inspect
import json
import os
import pkgutil
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import tomllib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from peers import CHECKOUT, SOLVER, installed
from stream_server import StreamServer
from verdict_roads import BASE_IMAGE, remove_labelled

from recode_eval import load_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

HERE = Path(__file__).parent
PAGE = CHECKOUT / "docs" / "integrations.md"
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
SERVER = "http://localhost:8000/v1"


@dataclass(frozen=True)
class Case:
    """How one section's blocks are run, in their order and in one folder."""

    peer: str = ""
    """The environment whose programs it calls."""
    swaps: Mapping[str, str] = field(default_factory=dict)
    """Words of the page, and what stands in their place: a smaller selection, another model. Each
    must occur; `{folder}` is the folder that it runs in, `{port}` a free port."""
    prepare: Callable[[Path], None] = lambda _: None
    between: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)
    """What happens before the line that begins so: what a reader does there."""
    check: Callable[[Path, list[str]], None] = lambda _, __: None
    """Gets the folder and what each line printed."""
    marks: tuple[Any, ...] = ()
    serves: str = ""
    """The beginning of a command of ours that runs in the peer's environment until all is done."""
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


def with_a_tiny_model_for_tools(folder: Path) -> None:
    pytest.importorskip("trl")
    from train.tiny_tools import save_tool_model

    save_tool_model(folder / "model")


def trl_trained(_: Path, outputs: list[str]) -> None:
    [said] = outputs
    assert re.search(r"'rewards/reward/mean': '?0", said), said
    assert re.search(r"'tools/call_frequency': '?0", said), said


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


def verl_finds_the_function(*_: object) -> None:
    [block] = [block for block in BLOCKS["verl: tests as a reward"] if block.language == "yaml"]
    named = yaml.safe_load(block.code)["reward"]["custom_reward_function"]
    module = named["path"].removeprefix("pkg://")
    for name in re.findall(r"verl_compute_score\w*", block.code):
        function = pkgutil.resolve_name(f"{module}:{name}")
        assert named["reward_kwargs"].keys() <= inspect.signature(function).parameters.keys()
    assert named["name"] == "verl_compute_score_async"


def served_rewards(_: Path, outputs: list[str]) -> None:
    by_curl, by_client = outputs
    assert '"reward":0.0' in by_curl.replace(" ", "")
    assert by_client.startswith("[GradedAnswer(reward=0.0"), by_client


SLOW = (pytest.mark.slow,)
FIRST = load_task("arena-mini").problems[0].id
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
    "TRL: tests as a reward": Case(marks=SLOW),
    "TRL: an environment with tools": Case(
        prepare=with_a_tiny_model_for_tools,
        swaps={"Qwen/Qwen3-1.7B": "{folder}/model",
               "max_completion_length=8192,":
               "max_completion_length=16, max_steps=1, num_generations=2, use_cpu=True, bf16=False,"
               "per_device_train_batch_size=2, report_to='none', save_strategy='no', "
               "output_dir='{folder}/o',"},
        check=trl_trained,
        marks=SLOW,
    ),
    "verl: tests as a reward": Case(check=verl_finds_the_function, marks=SLOW),
    "One pool for all processes": Case(
        peer="serve",
        serves="recode-eval serve-rewards",
        swaps={"--tasks arena-mini,migration --sandbox docker --workers 16":
               "--tasks arena-mini --sandbox landlock --workers 2 --port {port}",
               "127.0.0.1:8471": "127.0.0.1:{port}",
               '"task": "migration", "problem_id": "..."':
               f'"task": "arena-mini", "problem_id": "{FIRST}"',
               'RewardClient("migration")':
               'RewardClient("arena-mini", url="http://127.0.0.1:{port}")',
               "a problem's id": FIRST},
        check=served_rewards,
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

    def steps(self) -> list[str]:
        """Return its commands; a block of Python is one, and of YAML none: the case checks it."""
        if self.language == "python":
            return [self.code]
        if self.language == "yaml":
            return []
        return [line for line in self.code.replace("\\\n", " ").splitlines() if line.strip()]


def blocks(text: str) -> dict[str, list[Block]]:
    found: dict[str, list[Block]] = {}
    for part in re.split(r"^## ", text, flags=re.MULTILINE):
        section, _, body = part.partition("\n")
        for m in FENCE.finditer(body):
            found.setdefault(section, []).append(Block(section, m["language"], m["code"]))
    return found


BLOCKS = blocks(PAGE.read_text(encoding="utf-8"))


def test_every_block_has_a_case_and_every_case_a_block() -> None:
    assert BLOCKS.keys() == CASES.keys()
    assert {b.language for found in BLOCKS.values() for b in found} <= {"bash", "python", "yaml"}
    text = "# Page\n```bash\na \\\n  b\n\nc\n```\n## One\ntext\n"
    text += "```python\nx\ny\n```\n```yaml\nz\n```\n"
    found = blocks(text)
    assert found == {
        "# Page": [Block("# Page", "bash", "a \\\n  b\n\nc\n")],
        "One": [Block("One", "python", "x\ny\n"), Block("One", "yaml", "z\n")],
    }
    assert [b.steps() for b in [*found["# Page"], *found["One"]]] == [
        ["a    b", "c"],
        ["x\ny\n"],
        [],
    ]


@pytest.mark.parametrize(
    "section",
    [pytest.param(name, marks=CASES[name].marks, id=name) for name in BLOCKS if name in CASES],
)
def test_a_section_runs(section: str, tmp_path: Path, peer_python: Callable[[str], str]) -> None:
    case = CASES[section]
    python = peer_python(case.peer) if case.serves else sys.executable
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "recode-eval").write_text(
        f'#!/bin/sh\nPYTHONPATH={CHECKOUT} exec {python} -m recode_eval "$@"\n'
    )
    (programs / "recode-eval").chmod(0o755)
    folder = tmp_path / "reader"
    folder.mkdir()
    environment = {**os.environ, **installed(folder), **case.environment}
    environment["PYTHONPATH"] += os.pathsep + str(HERE)
    own = Path(peer_python(case.peer) if case.peer else sys.executable).parent
    environment["PATH"] = os.pathsep.join([str(programs), str(own), os.environ["PATH"]])
    case.prepare(folder)
    left = set(case.swaps)
    steps = [(block, step) for block in BLOCKS[section] for step in block.steps()]
    assert steps
    outputs = []
    with ExitStack() as closing:
        values = {"folder": str(folder), "port": str(free_port())}
        if any(SERVER in step for _, step in steps):
            values["server"] = closing.enter_context(StreamServer(reference_of_arena_mini)).url
        for block, step in steps:
            if step.startswith("pip install"):
                extra_exists(step)
                continue
            for start, act in case.between.items():
                if step.startswith(start):
                    act(folder)
            changed = step
            for words, others in case.swaps.items():
                if words in changed:
                    left.discard(words)
                    changed = changed.replace(words, filled(others, values))
            if block.language == "python":
                (folder / "block.py").write_text(changed)
                changed = "python block.py"
            if case.serves and step.startswith(case.serves):
                closing.enter_context(running(changed, folder, environment))
                continue
            done = subprocess.run(["bash", "-c", changed], cwd=folder, env=environment, text=True,
                                  capture_output=True, check=False, timeout=500)  # fmt: skip
            said = done.stdout + done.stderr
            assert done.returncode == 0, f"{changed}\n{said[-4000:]}"
            outputs.append(said)
    assert not left, f"not on the page any more: {left}"
    assert outputs
    case.check(folder, outputs)


def filled(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    return port


@contextmanager
def running(command: str, folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Run a server of the page until its section ends; it must end well when it is told to."""
    said = folder / "server.log"
    with said.open("w") as log:
        process = subprocess.Popen(["bash", "-c", f"exec {command}"], cwd=folder, env=environment,
                                   stderr=log, stdout=log)  # fmt: skip
    try:
        until = time.monotonic() + 120
        while "listening on" not in said.read_text():
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < until, said.read_text()
            time.sleep(0.1)
        yield
        process.terminate()
        assert process.wait(timeout=60) == 0, said.read_text()
    finally:
        process.kill()
        process.wait()


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
