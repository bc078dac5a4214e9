"""`recode-eval serve-rewards`, live: its own client, NeMo Gym's and OpenEnv's, and hostile ones."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from served import Served, serving

from recode_eval import RewardClient, RewardGrader, load_task
from recode_eval.commands.serve_rewards import execute
from recode_eval.errors import ExitCode, InfrastructureError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow

TASK = load_task("arena-mini")
FIRST = TASK.problems[0]
TOKEN = "a-token-of-enough-length"
SLEEPER = "import time\ntime.sleep({seconds})\n"


def fenced(code: str) -> str:
    return f"```python\n{code}\n```"


RIGHT = fenced(FIRST.solutions["reference"])


@pytest.fixture(scope="module")
def python(peer_python: Callable[[str], str]) -> str:
    return peer_python("serve")


@pytest.fixture(scope="module")
def server(python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    words = ["--tasks", "arena-mini", "--workers", "2", "--max-body", "1"]
    with serving(python, folder, *words) as found:
        yield found
        assert found.end() == 0, found.lines
    assert found.lines[-1].endswith("ended")


ODD = [
    "", " ", "\0", "\ud800", "\udfff\ud800", "```", "```python", "```python\n", "```python\n\n```",
    "def", "x = 1", "raise SystemExit(0)", "1/0", "import os; os._exit(0)", "print('\x1b[2J')",
    "```\nx = 1\n```", "```js\nlet x = 1\n```", "~~~python\nx = 1\n~~~", "<answer>x</answer>",
    "<think>", "</think>", "<think>```python\nx\n```</think>", "a" * 20_000, "\r\n" * 100,
    "```python\n" * 50, "é\u202e\u200b", "```python\nx = '\ud83d'\n```", "lambda: 0", "...",
    "```python\nclass A: pass\n```\n```python\nclass B: pass\n```", "`x = 1`", "# only a comment",
    "```python\nassert False\n```", "```python\nimport sys; sys.exit(1)\n```", "\U0001d54f = 1",
    "```python\nwhile False: pass\n```", "```python\nx = (\n```", "```python\n\tx = 1\n  y\n```",
    "True", "None", "0", "''", "[]", "{}", "NaN", "1e999", "null", '{"reward": 1}', "reward=1.0",
    "```python\nfrom __future__ import annotations\nx: int = 1\n```", "```python\n\x00\n```",
]  # fmt: skip


def test_the_same_verdicts_as_in_this_process(server: Served) -> None:
    """References, stale solutions and odd answers: no difference in reward or explanation."""
    assert len(ODD) >= 50
    asked = [(p.id, fenced(p.solutions[kind])) for p in TASK.problems[:12]
             for kind in ("reference", "stale")]  # fmt: skip
    asked += [(FIRST.id, text) for text in ODD]
    asked += [(FIRST.id, f"{RIGHT}\n{text}") for text in ODD[:8]]
    with RewardGrader(TASK, "landlock") as grader, RewardClient("arena-mini", server.url) as client:
        here, there = grader.grade(asked), client.grade(asked)
        assert asyncio.run(client.agrade(asked[:4])) == here[:4]
        assert client.submit(*asked[0]).result(timeout=60) == here[0]
    assert there == here
    assert [one.reward for one in here[:24]] == [1.0, 0.0] * 12
    assert all(one.reward is not None for one in here)


def _rank(url: str, rank: int, found: Any) -> None:
    """One of eight processes of a training, each with its own answers."""
    problems = TASK.problems[rank : rank + 4]
    with RewardClient("arena-mini", url) as client:
        rewards = client.rewards(
            [(p.id, fenced(p.solutions[kind] + f"\n# {rank}")) for p in problems
             for kind in ("reference", "stale")]
        )  # fmt: skip
    found.put((rank, rewards))


def test_eight_processes_share_one_pool(server: Served) -> None:
    before = server.measure("recode_answers_total")
    context = multiprocessing.get_context("spawn")
    found = context.SimpleQueue()
    ranks = [context.Process(target=_rank, args=(server.url, n, found)) for n in range(8)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(120)
    assert [rank.exitcode for rank in ranks] == [0] * 8
    rewards = dict(found.get() for _ in ranks)
    assert rewards == {n: [1.0, 0.0] * 4 for n in range(8)}
    assert server.measure("recode_answers_total") - before == 64
    assert server.measure("recode_answers_in_progress") == 0
    workers = subprocess.run(
        ["pgrep", "-c", "-f", "-P", str(server.process.pid), "."], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert 0 < int(workers.stdout) <= 4  # two workers, whoever asks


HOSTILE = [
    (b"", 422, "invalid"),
    (b"\xff\xfe", 400, "bad_json"),
    (b'{"problem_id": NaN, "text": ""}', 400, "bad_json"),
    (b'{"problem_id": "x", "text": "", "a": -Infinity}', 400, "bad_json"),
    (b'{"problem_id": "x", "text": "", "a": 1e999}', 400, "bad_json"),
    (b'{"problem_id": ' + b"9" * 5000 + b', "text": ""}', 400, "bad_json"),
    (b"[" * 100_000, 400, "bad_json"),
    (b'{"problem_id": "\\u001b[2J\\u0000", "text": ""}', 404, "unknown_problem"),
    (b'{"problem_id": "\\ud800", "text": ""}', 422, "invalid"),
    (b'{"task": "\\u202egone", "problem_id": "x", "text": ""}', 404, "unknown_task"),
    (b'{"problem_id": 3, "text": ""}', 422, "invalid"),
    (b'{"problem_id": "x", "text": ["y"]}', 422, "invalid"),
    (b'{"problem_id": "x", "text": "", "reward": 1}', 422, "invalid"),
    (b'{"problem_id": "' + b"x" * 2000 + b'", "text": ""}', 422, "invalid"),
    (b"null", 422, "invalid"),
    (b" " * (1 << 20) + b"{}", 413, "body_too_large"),
    (b'{"problem_id": "x", "problem_id": "y", "text": ""}', 400, "bad_json"),
    (b'{"a": [' + b"{}," * 300_000 + b"{}]}", 422, "invalid"),
    (b"{" + b",".join(b'"%x": 0' % n for n in range(10_001)) + b"}", 400, "bad_json"),
]


@pytest.mark.parametrize(("raw", "status", "code"), HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_bodies_get_a_clear_error(
    server: Served, raw: bytes, status: int, code: str
) -> None:
    for path in ("/grade",):
        found, content, _ = server.ask("POST", path, raw=raw)
        assert (found, content["error"]["code"]) == (status, code)
        message = content["error"]["message"]
        assert message.isprintable()
        assert len(message) < 1000


@pytest.mark.parametrize(
    ("path", "raw"),
    [
        ("/grade/batch", b'{"answers": [' + b"0," * 500_000 + b"0]}"),
        ("/aggregate_metrics", b'{"verify_responses": [' + b"[]," * 300_000 + b"[]]}"),
        ("/verify", b'{"responses_create_params": {}, "verifier_metadata": {"problem_id": "x"},'
         b'"response": {"output": [' + b"0," * 500_000 + b"0]}}"),
    ],
)  # fmt: skip
def test_a_body_full_of_faults_is_refused_at_the_first(
    server: Served, path: str, raw: bytes
) -> None:
    """Each fault was described: a body of 4 MiB took 2.6 GB and 38 s, and nobody was served."""
    status, content, _ = server.ask("POST", path, raw=raw)
    assert (status, content["error"]["code"]) == (422, "invalid")
    peak = Path(f"/proc/{server.process.pid}/status").read_text().split("VmHWM:")[1].split()[0]
    assert int(peak) < 250_000  # kB


def test_the_bodies_of_all_requests_together_are_bounded(server: Served) -> None:
    """2,048 connections with a body each of the largest size would have filled any memory."""
    head = (
        b"POST /grade HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 262144\r\n\r\n"
    )
    body = {"problem_id": FIRST.id, "text": RIGHT}
    held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(70)]
    try:
        for one in held:
            one.sendall(head + b" " * 262_000)
        deadline = time.monotonic() + 30
        while (found := server.ask("POST", "/grade", body | {"text": " " * 900_000}))[0] != 429:
            assert time.monotonic() < deadline
        assert (found[1]["error"]["code"], found[2]["retry-after"]) == ("bodies_full", "1")
    finally:
        for one in held:
            one.close()
    while server.ask("POST", "/grade", body)[0] != 200:
        assert time.monotonic() < deadline


def test_sums_and_indices_beyond_every_number(server: Served) -> None:
    """Rewards whose sum is infinite had the mean null, and an index of 5,000 digits was a 500."""
    big = {"verify_responses": [{"reward": 1e308}, {"reward": 1e308}]}
    assert server.ask("POST", "/aggregate_metrics", big)[0] == 422
    long = {"verify_responses": [{"reward": 1, "_ng_task_index": "9" * 5000}]}
    assert server.ask("POST", "/aggregate_metrics", long)[1]["agent_metrics"] == {"mean/reward": 1}


def test_limits_of_a_batch_and_of_a_path(server: Served) -> None:
    batch = {"answers": [{"problem_id": FIRST.id, "text": ""}] * 1025}
    status, content, _ = server.ask("POST", "/grade/batch", batch)
    assert (status, content["error"]["code"]) == (413, "batch_too_large")
    status, content, headers = server.ask("DELETE", "/grade")
    assert (status, headers["allow"]) == (405, "POST")
    plain = {"Content-Type": "text/plain"}
    status, content, _ = server.ask("POST", "/grade", raw=b"{}", headers=plain)
    assert status == 422
    assert "Send the header Content-Type: application/json." in content["error"]["message"]
    assert server.ask("POST", "/grade/batch", {"answers": []})[1] == {"answers": []}
    status, content, _ = server.ask("GET", "/tasks")
    assert (content["tasks"][0]["problems"], content["sandbox"]) == (96, "landlock")


def test_pages_of_a_browser_are_kept_out(server: Served) -> None:
    body = {"problem_id": FIRST.id, "text": ""}
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example:80"}):
        status, content, _ = server.ask("POST", "/grade", body, headers=headers)
        assert status == 403
        assert "reward" not in content


def test_what_comes_slowly_or_never_harms_nobody(server: Served) -> None:
    """A client that sends half a body keeps its own connection busy, and nothing else."""
    with socket.create_connection(("127.0.0.1", server.port)) as half:
        half.sendall(b"POST /grade HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n"
                     b"Content-Type: application/json\r\n\r\n{")  # fmt: skip
        with socket.create_connection(("127.0.0.1", server.port)) as junk:
            junk.sendall(b"\x16\x03\x01 not http\r\n\r\n")
            assert b"400" in junk.recv(100)
        assert server.ask("POST", "/grade", {"problem_id": FIRST.id, "text": RIGHT})[1]["reward"]
    assert server.measure("recode_answers_in_progress") == 0


def test_nemo_gym_verifies(server: Served) -> None:
    """As its `simple_agent` sends it; the types of nemo-gym 0.4.0 need Python 3.12."""
    row = {
        "responses_create_params": {"input": [{"role": "user", "content": "hi", "type": "message"}],
                                    "parallel_tool_calls": True, "tools": [], "model": None},
        "verifier_metadata": {"task": "arena-mini", "problem_id": FIRST.id},
        "_ng_task_index": 4,
    }  # fmt: skip
    thought = {"id": "rs", "type": "reasoning", "encrypted_content": None,
               "summary": [{"type": "summary_text", "text": fenced("1 / 0")}]}  # fmt: skip

    def response(*texts: str) -> dict[str, Any]:
        messages = [
            {"id": f"m{n}", "type": "message", "role": "assistant", "status": "completed",
             "content": [{"type": "output_text", "text": text, "annotations": [],
                          "logprobs": None}]}
            for n, text in enumerate(texts)
        ]  # fmt: skip
        return {"id": "r", "created_at": 1.0, "model": "m", "object": "response", "error": None,
                "output": [thought, *messages], "parallel_tool_calls": False,
                "tool_choice": "none", "tools": []}  # fmt: skip

    assert server.ask("POST", "/seed_session", row)[:2] == (200, {})
    replies = []
    for texts, reward in (((RIGHT,), 1.0), (("I cannot.",), 0.0), ((), 0.0),
                          ((RIGHT, "No, I cannot."), 0.0)):  # fmt: skip
        sent = {**row, "response": response(*texts)}
        status, content, _ = server.ask("POST", "/verify", sent)
        assert (status, content["reward"]) == (200, reward)
        assert {key: content[key] for key in sent} == sent
        replies.append(content)
    status, content, _ = server.ask("POST", "/aggregate_metrics", {"verify_responses": replies})
    assert content["key_metrics"] == {"mean/reward": 0.25}
    assert content["group_level_metrics"] == [{"_ng_task_index": 4, "mean/reward": 0.25}]
    del row["verifier_metadata"]
    status, content, _ = server.ask("POST", "/verify", {**row, "response": response(RIGHT)})
    assert (status, content["error"]["message"]) == (422, "verifier_metadata: Field required.")


OPENENV = """
import json, sys
from openenv.core.generic_client import GenericEnvClient
url, problem, right = json.loads(sys.argv[1])
said = []
def refused(call, *arguments, **named):
    try:
        call(*arguments, **named)
    except RuntimeError as error:
        said.append(str(error))
with GenericEnvClient(base_url=url).sync() as env:
    refused(env.step, {"answer": right})
    seeds = [env.reset(seed=3).observation["problem_id"] for _ in range(2)]
    first = env.reset(problem_id=problem, episode_id="e")
    refused(env.step, {"answer": right, "problem_id": "another"})
    refused(env.step, {"answer": 3})
    passed = env.step({"answer": right})
    state = env.state()
    refused(env.step, {"answer": right})
    refused(env.reset, task="gone")
    env.reset(problem_id=problem)
    failed = env.step({"answer": "I cannot.", "metadata": {"x": 1}})
print(json.dumps([seeds, first.__dict__, passed.__dict__, state, failed.__dict__, said]))
"""


def test_openenvs_own_client_plays_episodes(
    server: Served, peer_python: Callable[[str], str]
) -> None:
    done = subprocess.run(
        [peer_python("openenv"), "-c", OPENENV, json.dumps([server.url, FIRST.id, RIGHT])],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seeds, first, passed, state, failed, said = json.loads(done.stdout.splitlines()[-1])
    assert seeds[0] == seeds[1]
    assert (first["reward"], first["done"]) == (None, False)
    assert first["observation"]["messages"][0]["role"] == "user"
    text = json.dumps(first)
    assert all(json.dumps(test.code.strip())[1:-1] not in text for test in FIRST.payload.unit_tests)
    assert (passed["reward"], passed["done"]) == (1.0, True)
    assert (state["episode_id"], state["step_count"], state["problem_id"]) == ("e", 1, FIRST.id)
    assert (failed["reward"], failed["done"]) == (0.0, True)
    assert failed["observation"]["explanation"].startswith("no code found")
    assert [told.rpartition("(code: ")[2].rstrip(")") for told in said] == [
        "EXECUTION_ERROR", "VALIDATION_ERROR", "VALIDATION_ERROR", "EXECUTION_ERROR",
        "VALIDATION_ERROR",
    ]  # fmt: skip


def test_openenv_over_http_has_no_memory(server: Served) -> None:
    status, shown, _ = server.ask("POST", "/reset", {"seed": 1, "more": "than we know"})
    assert (status, shown["reward"], shown["done"]) == (200, None, False)
    assert server.ask("POST", "/reset", {"seed": 1.0})[1] == shown  # the same number in JSON
    for seed in (-1, 1.5, True, "1", 10**200 + 0.0):
        status = server.ask("POST", "/reset", {"seed": seed})[0]
        assert status == (200 if seed == 1e200 else 422), seed
    action = {"answer": "I cannot.", "problem_id": shown["observation"]["problem_id"]}
    status, content, _ = server.ask("POST", "/step", {"action": action, "timeout_s": 60})
    assert (status, content["reward"], content["done"]) == (200, 0.0, True)
    assert server.ask("GET", "/state")[1]["step_count"] == 0
    assert server.ask("GET", "/schema")[1]["action"]["required"] == ["answer"]
    assert server.ask("GET", "/metadata")[1]["name"] == "recode-eval"
    for wrong in (
        {"action": {"answer": "x"}},
        {"action": {"answer": "x", "problem_id": 1}},
        {"action": action, "timeout_s": 0},
        {"action": action, "timeout_s": "60"},
    ):
        assert server.ask("POST", "/step", wrong)[0] == 422


def test_schemathesis_finds_nothing(server: Served, python: str, tmp_path: Path) -> None:
    words = ["run", f"{server.url}/openapi.json", "--max-examples", "25", "--no-color",
             "--generation-deterministic"]  # fmt: skip
    done = subprocess.run(
        [str(Path(python).with_name("schemathesis")), *words], cwd=tmp_path, capture_output=True,
        text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "Tested: 13" in done.stdout


def test_a_lost_worker_is_replaced_and_its_answer_graded(server: Served) -> None:
    text = fenced(SLEEPER.format(seconds=2) + FIRST.solutions["reference"])
    with RewardClient("arena-mini", server.url) as client:
        waits = client.submit(FIRST.id, text)
        time.sleep(1)
        killed = subprocess.run(
            ["pkill", "-KILL", "-P", str(server.process.pid)], check=False, capture_output=True
        )
        assert killed.returncode == 0
        assert waits.result(timeout=120).reward == 1.0


DEAD = """
import sys, os
from concurrent.futures import Future
from recode_eval.cli import main
from recode_eval.sandbox.base import SandboxUnavailableError
from recode_eval.sandbox.pool import Pool
submit = Pool.submit
def gone(self, program, limits):
    if not os.path.exists("dead"):
        return submit(self, program, limits)
    future = Future()
    future.set_exception(SandboxUnavailableError("the daemon is gone\\x1b[1m; start it"))
    return future
Pool.submit = gone
main(sys.argv[1:])
"""


def test_a_dead_sandbox_gives_no_reward_anywhere_and_may_come_back(
    python: str, tmp_path: Path, peer_python: Callable[[str], str]
) -> None:
    """NeMo Gym's schema and OpenEnv's steps have no word for unscored: they get an error."""
    told = "the daemon is gone\\x1b[1m; start it"
    with serving(python, tmp_path, "--tasks", "arena-mini", program=DEAD) as server:
        (tmp_path / "dead").touch()
        answer = {"problem_id": FIRST.id, "text": RIGHT}
        status, content, _ = server.ask("POST", "/grade", answer)
        assert (status, content["reward"], content["explanation"]) == (200, None, told)
        verify = {"responses_create_params": {}, "verifier_metadata": {"problem_id": FIRST.id},
                  "response": {"output": [{"type": "message", "role": "assistant",
                                           "content": RIGHT}]}}  # fmt: skip
        step = {"action": {"answer": RIGHT, "problem_id": FIRST.id}}
        for path, sent in (("/verify", verify), ("/step", step)):
            status, content, _ = server.ask("POST", path, sent)
            assert (status, content["error"]["code"]) == (503, "unscored")
            assert told in content["error"]["message"]
            assert "reward" not in content
        script = OPENENV.partition("with ")[0] + (
            "with GenericEnvClient(base_url=url).sync() as env:\n"
            "    env.reset(problem_id=problem)\n"
            "    refused(env.step, {'answer': right})\n"
            "    open('/dev/stdin').readline()\n"
            "    print(json.dumps([said, env.step({'answer': right}).reward]))\n"
        )
        with subprocess.Popen(
            [peer_python("openenv"), "-c", script, json.dumps([server.url, FIRST.id, RIGHT])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as client:  # fmt: skip
            assert client.stdin is not None
            assert client.stdout is not None
            while server.measure("recode_answers_total") < 4:
                time.sleep(0.1)
            with RewardClient("arena-mini", server.url) as own:
                assert own(FIRST.id, RIGHT) is None
            assert server.measure("recode_answers_total") == 5
            (tmp_path / "dead").unlink()
            client.stdin.write("\n")
            client.stdin.flush()
            said, reward = json.loads(client.stdout.readline())
        assert said[0].startswith("Server error: The answer could not be graded, and has no reward")
        assert reward == 1.0
        assert server.end() == 0


def test_a_full_queue_makes_clients_wait_and_loses_nothing(python: str, tmp_path: Path) -> None:
    words = ["--tasks", "arena-mini", "--workers", "2", "--queue", "64", "--max-batch", "64"]
    slow = fenced(SLEEPER.format(seconds=0.2) + FIRST.solutions["reference"] + "\n# {}")
    full = {"answers": [{"problem_id": FIRST.id, "text": slow.format(n)} for n in range(64)]}
    asked = [(FIRST.id, fenced(f"{FIRST.solutions['reference']}\n# {n}")) for n in range(160)]
    with serving(python, tmp_path, *words) as server:
        with ThreadPoolExecutor(5) as threads, RewardClient("arena-mini", server.url) as client:
            first = threads.submit(server.ask, "POST", "/grade/batch", full)
            while server.measure("recode_answers_in_progress") < 64:
                time.sleep(0.02)
            status, content, headers = server.ask("POST", "/grade/batch", full)
            assert (status, content["error"]["code"]) == (429, "queue_full")
            assert "64 are the most" in content["error"]["message"]
            assert 1 <= int(headers["retry-after"]) <= 30
            parts = [threads.submit(client.rewards, asked[n::4]) for n in range(4)]
            assert [part.result(timeout=120) for part in parts] == [[1.0] * 40] * 4
            status, content, _ = first.result(timeout=60)
            assert [one["reward"] for one in content["answers"]] == [1.0] * 64
        assert server.measure("recode_refused_requests_total") >= 2
        assert server.measure("recode_answers_total") == 224
        assert server.end() == 0


def test_who_hangs_up_frees_the_queue(python: str, tmp_path: Path) -> None:
    words = ["--tasks", "arena-mini", "--workers", "1", "--queue", "64", "--max-batch", "64"]
    with serving(python, tmp_path, *words) as server:
        assert server.ask("POST", "/grade", {"problem_id": FIRST.id, "text": RIGHT})[0] == 200
        slow = [fenced(SLEEPER.format(seconds=3) + f"# {n}") for n in range(60)]
        batch = {"answers": [{"problem_id": FIRST.id, "text": text} for text in slow]}
        with pytest.raises(TimeoutError):
            server.ask("POST", "/grade/batch", batch, timeout=1)
        deadline = time.monotonic() + 30
        while server.measure("recode_answers_in_progress") and time.monotonic() < deadline:
            time.sleep(0.1)
        assert server.measure("recode_answers_in_progress") == 0  # 60 would take three minutes
        status, content, _ = server.ask("POST", "/grade", {"problem_id": FIRST.id, "text": RIGHT})
        assert (status, content["reward"]) == (200, 1.0)
        assert server.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_at_the_end_what_runs_gets_its_verdict(number: int, python: str, tmp_path: Path) -> None:
    with serving(python, tmp_path, "--tasks", "arena-mini", "--workers", "1") as server:
        with RewardClient("arena-mini", server.url, patience=0) as client:
            assert client(FIRST.id, RIGHT) == 1.0
            text = fenced(SLEEPER.format(seconds=2) + FIRST.solutions["reference"])
            waits = client.submit(FIRST.id, text)
            while not server.measure("recode_answers_in_progress"):
                time.sleep(0.05)
            server.process.send_signal(number)
            while server.ask("GET", "/health")[0] == 200:
                time.sleep(0.05)
            with pytest.raises(InfrastructureError, match="The server ends"):
                client(FIRST.id, RIGHT)
            assert waits.result(timeout=60).reward == 1.0
        _, said = server.process.communicate(timeout=60)
    assert server.process.returncode == 0, said
    assert "Traceback" not in said


def test_after_the_grace_what_waits_is_refused_and_nothing_hangs(
    python: str, tmp_path: Path
) -> None:
    words = ["--tasks", "arena-mini", "--workers", "1", "--grace", "0.5"]
    with serving(python, tmp_path, *words) as server:
        server.ask("POST", "/grade", {"problem_id": FIRST.id, "text": RIGHT})
        batch = {"answers": [{"problem_id": FIRST.id, "text": fenced(SLEEPER.format(seconds=20)
                                                                      + f"# {n}")}
                             for n in range(4)]}  # fmt: skip
        found: list[Any] = []
        asking = threading.Thread(
            target=lambda: found.append(server.ask("POST", "/grade/batch", batch))
        )
        asking.start()
        while server.measure("recode_answers_in_progress") < 4:
            time.sleep(0.05)
        began = time.monotonic()
        assert server.end(timeout=30) == 0, server.lines
        assert time.monotonic() - began < 15
        asking.join(10)
        [(status, content, _)] = found
        assert (status, content["error"]["code"]) == (503, "ending")


def test_a_token_is_wanted_and_never_said(python: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    words = ["--tasks", "arena-mini", "--host", "0.0.0.0", "--token-file", str(file)]
    with serving(python, tmp_path, *words) as server:
        url = f"http://127.0.0.1:{server.port}"
        for token in (None, "wrong", f"{TOKEN}é"):
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            status, content, found = server.ask("GET", "/tasks", headers=headers)
            assert (status, content["error"]["code"]) == (401, "no_token")
            assert found["www-authenticate"] == "Bearer"
        assert server.ask("GET", "/health")[0] == 200
        with RewardClient("arena-mini", url, token=TOKEN) as client:
            assert client(FIRST.id, "no code") == 0.0
        with (
            RewardClient("arena-mini", url, token="another") as client,
            pytest.raises(UsageError, match="REWARDS_TOKEN"),
        ):
            client(FIRST.id, "no code")
        status, document, _ = server.ask(
            "GET", "/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        assert document["paths"]["/grade"]["post"]["security"] == [{"token": []}]
        assert server.end() == 0
    assert TOKEN not in "\n".join(server.lines)


@pytest.mark.docker
def test_a_container_that_is_killed_costs_no_verdict(python: str, tmp_path: Path) -> None:
    from recode_eval.sandbox.daemon import docker_client

    words = ["--tasks", "arena-mini", "--workers", "1", "--sandbox", "docker"]
    with serving(python, tmp_path, *words) as server:
        with RewardClient("arena-mini", server.url) as client:
            assert client(FIRST.id, RIGHT) == 1.0
            slow = fenced(SLEEPER.format(seconds=3) + FIRST.solutions["reference"])
            waits = client.submit(FIRST.id, slow)
            time.sleep(1.5)
            killed = 0
            with closing(docker_client(timeout_s=20)) as docker:
                for container in docker.containers.list():
                    owner = container.labels.get("org.recode-eval.owner", "").split()
                    if owner[1:2] == [str(server.process.pid)]:
                        container.kill()
                        killed += 1
            assert killed == 1
            assert waits.result(timeout=120).reward == 1.0
        assert server.end() == 0


def test_usage_errors_come_before_anything_is_opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from recode_eval.cli import run

    monkeypatch.delenv("RECODE_EVAL_REWARDS_TOKEN", raising=False)
    start = ["serve-rewards", "--tasks", "arena-mini"]
    (tmp_path / "short").write_text("1234\n")
    (tmp_path / "empty").write_text("\n")
    for words, told in (
        (["--host", "0.0.0.0"], "Anyone who can reach 0.0.0.0 could run programs"),
        (["--token-file", str(tmp_path / "short")], "at least 16 printable"),
        (["--token-file", str(tmp_path / "empty")], "openssl rand"),
        (["--token-file", str(tmp_path / "none")], "Cannot read the token"),
        (["--port", "70000"], "at most 65535"),
        (["--queue", "10"], "queue must be at least batch"),
    ):
        assert run([*start, *words]) == ExitCode.USAGE
        assert told in capsys.readouterr().err
    assert run(["serve-rewards", "--tasks", "arena-mni"]) == ExitCode.USAGE
    assert execute.__doc__
    assert os.environ.get("RECODE_EVAL_REWARDS_TOKEN") is None


def test_a_taken_port_is_an_error_with_a_fix(python: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with (
            pytest.raises(AssertionError, match=r"Cannot listen on 127.0.0.1, port \d+"),
            serving(python, tmp_path, "--tasks", "arena-mini", "--port", port),
        ):
            pass
