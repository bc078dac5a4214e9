"""The real vLLM engine on a CPU, in the environment that RECODE_EVAL_VLLM_PYTHON names.

vLLM pins its own versions of torch and transformers, so that it lives in an environment of its own;
the transformers back-end, here in this one, is the yardstick.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from recode_eval.models import FinishReason, ModelOptions, SamplingParameters, create_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recode_eval.models import Request

PYTHON = os.environ.get("RECODE_EVAL_VLLM_PYTHON")
ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        PYTHON is None, reason="RECODE_EVAL_VLLM_PYTHON does not name a Python that has vLLM"
    ),
]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "HF_HUB_OFFLINE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "TORCH_COMPILE_DISABLE": "1",
    "OMP_NUM_THREADS": "1",
}
ENGINE = {"dtype": "float32", "gpu_memory_utilization": 0.2, "engine_args": {"enforce_eager": True}}
GREEDY = SamplingParameters(temperature=0, max_tokens=24)
SAMPLED = SamplingParameters(temperature=0.9, top_p=0.95, max_tokens=24)
Requests = "Callable[..., list[Request]]"


def call(requests: list[Request], parameters: SamplingParameters, **more: Any) -> dict[str, Any]:
    return {
        "requests": [asdict(request) for request in requests],
        "parameters": asdict(parameters),
        **more,
    }


def job_for(spec: Path, *calls: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"spec": str(spec), "backend": "vllm", "options": {**ENGINE, **options}, "calls": calls}


def in_engine(jobs: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Do the jobs in one process: to import vLLM takes longer than what most of them ask."""
    assert PYTHON is not None
    done = subprocess.run(
        [PYTHON, str(ROOT / "tests/models/engine_script.py")],
        input=json.dumps(list(jobs.values())),
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    answers = json.loads(done.stdout)  # nothing else may be there
    return dict(zip(jobs, answers, strict=True))


def texts(completions: list[dict[str, Any]]) -> dict[tuple[str, int], str]:
    return {(c["problem_id"], c["sample"]): c["text"] for c in completions}


def in_transformers(spec: Path, *calls: tuple[list[Request], SamplingParameters]) -> list[Any]:
    model = create_model(str(spec), backend="transformers", options=ModelOptions(dtype="float32"))
    return [
        [asdict(c) for c in model.generate(requests, parameters)] for requests, parameters in calls
    ]


def sixteen(make_requests: Any) -> list[Request]:
    questions = [f"Write function number {n}." + " Use numpy." * (n % 5) for n in range(16)]
    requests: list[Request] = make_requests(questions, samples=(0,))
    return requests


@pytest.fixture(scope="module")
def asked(tiny: Path, make_requests: Requests) -> dict[str, tuple[list[Request], Any]]:
    """The calls that one engine serves one after the other."""
    requests = sixteen(make_requests)
    greedy = in_transformers(tiny, (requests, GREEDY))[0]
    stop = tuple(completion["text"][5:8] for completion in greedy[:2])
    return {
        "greedy": (requests, GREEDY),
        "stop": (requests, SamplingParameters(temperature=0, max_tokens=24, stop=stop)),
        "sampled": (make_requests(samples=range(4)), SAMPLED),
        "alone": (make_requests(samples=(3,))[2:3], SAMPLED),
        "long": (make_requests(["short", "many words " * 400]), GREEDY),
    }


@pytest.fixture(scope="module")
def engine(
    tiny: Path, adapters: dict[str, Path], make_requests: Requests, asked: Any
) -> dict[str, dict[str, Any]]:
    """Everything that is asked of the engine: each test looks at its own."""
    greedy = call(*asked["greedy"])
    longer = SamplingParameters(temperature=0.9, max_tokens=300)
    short, *rest = make_requests(samples=range(4))
    jobs = {
        "served": job_for(
            tiny, *(call(*one) for one in asked.values()), call(*asked["sampled"], take=2), greedy
        ),
        "lora": job_for(adapters["lora"], greedy),
        "two copies": job_for(tiny, greedy, data_parallel_size=2),
        "dora": job_for(tiny, adapter=str(adapters["dora"])),
        **{name: job_for(tiny, **options) for name, (options, _) in REFUSED.items() if options},
        "killed": job_for(
            tiny,
            call([short], GREEDY),
            call([short, *rest], longer, kill=True),
            engine_args={"enforce_eager": True, "max_num_seqs": 2},
        ),
    }
    return in_engine(jobs)


@pytest.fixture(scope="module")
def served(engine: dict[str, Any], tiny: Path, asked: Any) -> dict[str, Any]:
    """One engine, several calls, and what the other back-end makes of them."""
    expected = in_transformers(tiny, *asked.values())
    names = [*asked, "cut short", "greedy again"]
    return {
        "info": engine["served"]["info"],
        "ours": dict(zip(names, engine["served"]["answers"], strict=True)),
        "transformers": dict(zip(asked, expected, strict=True)),
    }


def without_time(completions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(
        # One side comes through JSON, which has no tuples.
        ({**one, "seconds": None, "tool_calls": list(one["tool_calls"])} for one in completions),
        key=lambda completion: (completion["problem_id"], completion["sample"]),
    )


@pytest.mark.parametrize("name", ["greedy", "stop", "long"])
def test_same_completions_as_transformers(served: dict[str, Any], name: str) -> None:
    """Text, finish reason and token counts of every row: 16 of 16 for the greedy ones."""
    ours = without_time(served["ours"][name])
    assert ours == without_time(served["transformers"][name])
    assert len(ours) == (4 if name == "long" else 16)


def test_stop_strings_and_long_prompts_occurred(served: dict[str, Any]) -> None:
    reasons = {c["finish_reason"] for c in served["ours"]["stop"]}
    assert reasons == {FinishReason.STOP, FinishReason.LENGTH}
    long_reasons = [c["finish_reason"] for c in served["ours"]["long"]]
    assert long_reasons.count(FinishReason.PROMPT_TOO_LONG) == 2


def test_a_sample_does_not_depend_on_its_batch(served: dict[str, Any]) -> None:
    everything = texts(served["ours"]["sampled"])
    assert len(everything) == 24 == len(set(everything.values()))
    (key,) = alone = texts(served["ours"]["alone"])
    assert alone[key] == everything[key]


def test_engine_goes_on_after_a_stream_was_closed(served: dict[str, Any]) -> None:
    assert len(served["ours"]["cut short"]) == 2
    assert without_time(served["ours"]["greedy again"]) == without_time(served["ours"]["greedy"])


def test_info(served: dict[str, Any], tiny: Path) -> None:
    info = served["info"]
    assert info["identity"]["model"]["path"] == str(tiny)
    assert info["identity"]["dtype"] == "float32"
    assert info["details"]["vllm"]
    assert info["details"]["context"] == 512


def test_lora_is_applied(
    adapters: dict[str, Path], asked: Any, engine: dict[str, Any], served: dict[str, Any]
) -> None:
    """An adapter that was silently not applied gave the base's scores."""
    result = engine["lora"]
    (expected,) = in_transformers(adapters["lora"], asked["greedy"])
    assert texts(result["answers"][0]) == texts(expected)
    assert texts(result["answers"][0]) != texts(served["ours"]["greedy"])
    assert result["info"]["identity"]["adapter"]["path"] == str(adapters["lora"])


def test_two_copies_give_the_same(engine: dict[str, Any], served: dict[str, Any]) -> None:
    answers = engine["two copies"]["answers"]
    assert without_time(answers[0]) == without_time(served["ours"]["greedy"])


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "dora": ({}, "cannot serve DoRA adapters; use --backend transformers, or merge"),
    "unknown argument": ({"engine_args": {"nonsense": 1}}, "has no engine argument 'nonsense'"),
    "argument with an option": (
        {"engine_args": {"max_model_len": 1}, "max_context": 2},
        "has its own option",
    ),
    "context": ({"max_context": 99999}, "vLLM cannot serve this model"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(engine: dict[str, dict[str, Any]], name: str) -> None:
    assert engine[name]["error"] == "UsageError"
    assert REFUSED[name][1] in engine[name]["message"]


def test_a_killed_engine_is_the_infrastructures(engine: dict[str, dict[str, Any]]) -> None:
    """The kernel's out-of-memory killer takes an engine; what it had finished stays."""
    result = engine["killed"]
    assert result["error"] == "InfrastructureError"
    assert "the vLLM engine failed" in result["message"]
    first, second = result["answers"]
    assert len(first) == 4
    assert 1 <= len(second) < 24


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-4000:]
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(1)
    pytest.fail(f"the server did not start: {log.read_text()[-4000:]}")


@pytest.fixture(scope="module")
def server(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of vLLM's own OpenAI-compatible server."""
    assert PYTHON is not None
    port = free_port()
    log = tmp_path_factory.mktemp("server") / "log"
    command = [PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", str(tiny)]
    command += ["--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--dtype", "float32", "--enforce-eager", "--gpu-memory-utilization", "0.2"]
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, stdout=sink, stderr=sink, env=ENVIRONMENT, start_new_session=True
        )
    try:
        wait_until_up(f"http://127.0.0.1:{port}/v1/models", process, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)


def test_the_server_gives_what_the_engine_gives(
    server: str, served: dict[str, Any], make_requests: Requests
) -> None:
    """Prefill, stop strings, seeds, token counts and overlong prompts over HTTP."""
    model = create_model("tiny", options=ModelOptions(base_url=server))
    assert model.info.details["prefill"] == "continued by the server"
    greedy = [asdict(c) for c in model.generate(sixteen(make_requests), GREEDY)]
    assert without_time(greedy) == without_time(served["ours"]["greedy"])
    sampled = [asdict(c) for c in model.generate(make_requests(samples=range(4)), SAMPLED)]
    assert texts(sampled) == texts(served["ours"]["sampled"])
    long_prompts = make_requests(["short", "many words " * 400])
    found = {
        (c.problem_id, c.sample): c.finish_reason for c in model.generate(long_prompts, GREEDY)
    }
    assert found["p1", 0] is found["p1", 1] is FinishReason.PROMPT_TOO_LONG
    assert found["p0", 0] is FinishReason.LENGTH
    model.close()


def test_the_server_knows_its_models(server: str) -> None:
    from recode_eval.errors import UsageError

    with pytest.raises(UsageError, match="no model 'other'; it has tiny"):
        create_model("other", options=ModelOptions(base_url=server))
