"""Tools and turns with a real engine, where one is installed: the protocol must hold.

What so small a model writes does not matter. To run this (docs/conversations.md):

    python -m venv LLAMA && LLAMA/bin/pip install 'llama-cpp-python[server]'
    RECODE_EVAL_LLAMA_PYTHON=LLAMA/bin/python RECODE_EVAL_LLAMA_GGUF=MODEL.gguf pytest THIS_FILE
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest

from recode_eval import cli
from recode_eval.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PYTHON, MODEL = (os.environ.get(f"RECODE_EVAL_LLAMA_{x}") for x in ("PYTHON", "GGUF"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (PYTHON and MODEL), reason="no RECODE_EVAL_LLAMA_PYTHON and _GGUF"),
]


@pytest.fixture
def url() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [PYTHON, "-m", "llama_cpp.server", "--model", MODEL, "--model_alias", "small"]
    words += ["--chat_format", "chatml-function-calling", "--n_ctx", "8192", "--port", str(port)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        base = f"http://127.0.0.1:{port}/v1"
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{base}/models", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, "the server does not start"
                time.sleep(0.5)
        yield base
    finally:
        process.terminate()
        process.wait()


def test_tools_and_turns_with_llama_cpp(url: str, tmp_path: Path) -> None:
    words = ["--model", "small", "--base-url", url, "--tasks", "arena-mini", "--prompt", "plain"]
    words += ["--n", "1", "--limit", "1", "--turns", "2", "--tools", "run,read"]
    words += ["--tool-calls", "2", "--max-tokens", "80", "--concurrency", "1"]
    words += ["--request-timeout", "600", "--out", str(tmp_path)]
    assert cli.run(words) == ExitCode.OK
    (file,) = tmp_path.rglob("results.json")
    results = json.loads(file.read_text())
    assert results["counts"]["unscored"] == 0
    assert results["turns"][0]["samples"] == 1
    lines = [json.loads(x) for x in (file.parent / "turns.jsonl").read_text().splitlines()]
    asked = sum(len(line.get("calls", ())) for line in lines)
    assert results["tools"]["calls"] == asked == sum(line["kind"] == "tool" for line in lines)
