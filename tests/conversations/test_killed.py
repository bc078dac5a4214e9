"""A run that is killed in the middle of its conversations, again and again, by a real SIGKILL."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from arena_rows import REFERENCE, STALE
from talk_server import calls, fenced, turn_of

if TYPE_CHECKING:
    from conftest import Talks
    from talk_server import TalkServer

TESTS = Path(__file__).parent.parent
TURNS, SAMPLES, CONCURRENCY = 3, 2, 3
pytestmark = pytest.mark.slow


def learns_late(body: dict[str, Any]) -> str | dict[str, Any]:
    """Right in the third turn; with tools, one call in each turn before its answer."""
    time.sleep(random.Random(body["seed"]).uniform(0.0, 0.02))
    turn, last = turn_of(body), body["messages"][-1]["role"]
    if body.get("tools") and last != "tool":
        return calls(("run", {"code": f"print({turn})"}))
    return fenced(REFERENCE if turn == TURNS else f"{STALE}# {turn}\n")


def begin(talks: Talks, server: TalkServer, tools: list[str]) -> subprocess.Popen[bytes]:
    words = ["--model", "tiny", "--tasks", "arena", "--n", str(SAMPLES), "--prompt", "plain"]
    words += ["--base-url", server.url, "--data", f"arena={talks.rows}", "--quiet"]
    words += ["--sandbox", "landlock", "--isolation", "program", "--max-retries", "0"]
    words += ["--concurrency", str(CONCURRENCY), "--turns", str(TURNS), *tools]
    out = ["--out", str(talks.folder / "runs")]
    folders = [str(TESTS.parent), str(TESTS), str(TESTS / "models"), str(TESTS / "conversations")]
    return subprocess.Popen(
        [sys.executable, str(TESTS / "conversations" / "killed_run.py"), *words, *out],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def written(talks: Talks) -> set[int]:
    """The seeds of the answers in the journal; each request of a run has a seed of its own."""
    found: set[int] = set()
    for path in talks.folder.glob("runs/*/*/turns.jsonl"):
        for line in path.read_bytes().split(b"\n")[:-1]:
            content = json.loads(line)
            if content["kind"] == "answer":
                found.add(content["seed"])
    return found


@pytest.mark.parametrize("tools", [[], ["--tools", "run"]], ids=["turns", "tools"])
def test_nothing_that_was_written_is_asked_again(talks: Talks, tools: list[str]) -> None:
    server = talks.serve(learns_late)
    steps = TURNS * (2 if tools else 1)
    total = 4 * SAMPLES * steps
    chance = random.Random(17 + len(tools))
    kills = 0
    for target in sorted(chance.sample(range(1, total - CONCURRENCY), 5)):
        process = begin(talks, server, tools)
        known, before = written(talks), len(server.requests)
        while len(server.requests) < target and process.poll() is None:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        assert known.isdisjoint(body["seed"] for body in server.requests[before:])
    known, before = written(talks), len(server.requests)
    process = begin(talks, server, tools)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 0, told.decode()
    assert known.isdisjoint(body["seed"] for body in server.requests[before:])
    assert len(written(talks)) == total
    # Only what was on its way at a kill is asked twice: sent, or received and not yet written.
    assert total <= len(server.requests) <= total + 2 * kills * CONCURRENCY
    results = talks.results
    assert results["counts"]["scored"] == 4 * SAMPLES
    assert results["metrics"]["pass@1"]["value"] == 1.0
    assert results["metrics"]["turn2_pass@1"]["value"] == 0.0
    assert [turn["samples"] for turn in results["turns"]] == [4 * SAMPLES] * TURNS
    if tools:
        assert results["tools"] == {"calls": total // 2, "malformed": 0, "budget_ended": 0}
