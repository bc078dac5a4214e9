"""Does everything that needs a GPU work on this machine, and how fast? One command, minutes.

    make gpu-smoke                                        # a small model from the hub
    python benchmarks/gpu_smoke.py --model ./my-model     # another, without network
    python benchmarks/gpu_smoke.py --rehearse --model M   # the commands on a CPU, without vLLM

GRPO and DAPO with LoRA and vLLM in the training process, GRPO with a vLLM server on a second GPU,
and an evaluation with vLLM of what was trained. For each part: seconds, the most memory in use on
any GPU, tokens sampled, and tokens a second over the training (loading apart). The exit code is 1
if a part fails, and 69 without a GPU. A part that cannot run is named with the reason.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MODEL = "Qwen/Qwen2.5-Coder-0.5B-Instruct"
STEPS = 4
POLL_S = 0.5
PART_S = 1800
SERVER_S = 600


@dataclass
class Part:
    """One thing to try: a command, and what must run beside it."""

    name: str
    command: list[str]
    out: Path
    """The training's folder; the evaluation's."""
    environment: dict[str, str] = field(default_factory=dict)
    server: list[str] = field(default_factory=list)
    """Command of a server that must answer first; empty: none."""
    url: str = ""
    skipped: str = ""
    """Why it cannot run here; empty: it can."""


@dataclass
class Measured:
    """What came of a part."""

    name: str
    status: str
    seconds: float = 0.0
    memory_mib: int | None = None
    """None: no GPU was asked."""
    tokens: int | None = None
    tokens_per_s: float | None = None
    tail: str = ""
    """The last lines of a failed part."""


def recode(module: str, *words: str) -> list[str]:
    """Return a command of this package, run by this interpreter."""
    return [sys.executable, "-m", module, *words]


def training(algorithm: str, model: str, out: Path, *settings: str) -> list[str]:
    """Return a training of a few steps with LoRA on the bundled pairs."""
    shared = (
        "tuning=lora", "lora_r=16", f"max_steps={STEPS}", f"save_steps={STEPS}", "warmup_steps=0",
        "max_completion_length=256", "num_generations=4",
        "per_device_train_batch_size=4", "steps_per_generation=2",
        # A penalty for length: even a model that writes no program has groups with a gradient.
        "rewards={format: 1, es_star: 1, overlong: 1}", "overlong_cache=255",
    )  # fmt: skip
    words = [word for setting in (*shared, *settings) for word in ("--set", setting)]
    return recode(
        "recode_train.cli", algorithm, "--model", model, "--data", "migration", "--limit", "16",
        "--out", str(out), "--restart", *words,
    )  # fmt: skip


def parts(model: str, out: Path, gpus: int, *, vllm: bool) -> list[Part]:
    """Return what is tried on a machine with so many GPUs; `vllm` is false in a rehearsal."""
    colocate = ("use_vllm=true", "vllm_mode=colocate", "vllm_gpu_memory_utilization=0.3")
    used = colocate if vllm else ()
    # Penalties for length do not make a group worth training on for dynamic sampling, and a
    # rehearsal's model may be untrained.
    chosen = ("dynamic_sampling_rounds=3",) if vllm else ("dynamic_sampling=false",)
    one = {"CUDA_VISIBLE_DEVICES": "0"} if gpus else {}
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = recode("trl.cli", "vllm-serve", "--model", model, "--port", str(port),
                    "--gpu-memory-utilization", "0.6")  # fmt: skip
    merged = out / "merged"
    backend = ("--backend", "vllm", "--gpu-memory-utilization", "0.6") if vllm else (
        "--backend", "transformers")  # fmt: skip
    return [
        Part("GRPO, LoRA, vLLM in the process", training("grpo", model, out / "grpo", *used),
             out / "grpo", one),
        Part("DAPO, LoRA, vLLM in the process",
             training("dapo", model, out / "dapo", *chosen, *used), out / "dapo", one),
        Part(
            "GRPO, LoRA, vLLM as a server",
            training("grpo", model, out / "server", "use_vllm=true", "vllm_mode=server",
                     f"vllm_server_base_url={url}"),
            out / "server", one, server, f"{url}/health/",
            skipped=needs(gpus >= 2 and vllm, f"needs vLLM and two GPUs, found {gpus}"),
        ),
        Part("merge", recode("recode_train.cli", "merge", str(out / "grpo" / "final"),
                             str(merged), "--base", model), merged, one),
        Part(
            "evaluation with vLLM",
            recode("recode_eval", "run", "--model", str(merged), *backend, "--tasks", "arena-mini",
                   "--limit", "8", "--n", "4", "--max-tokens", "256", "--out", str(out / "runs")),
            out / "runs", one,
        ),
    ]  # fmt: skip


def needs(met: bool, reason: str) -> str:
    """Return the reason where a need is not met."""
    return "" if met else reason


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def gpu_count() -> int:
    """Return how many GPUs torch can use; 0 without torch."""
    if importlib.util.find_spec("torch") is None:
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def memory_in_use() -> int | None:
    """Return the MiB in use on the fullest GPU; None where no driver answers."""
    if shutil.which("nvidia-smi") is None:
        return None
    asked = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=False)
    numbers = [int(line) for line in done.stdout.split() if line.isdigit()]
    return max(numbers, default=None)


@contextlib.contextmanager
def peak(found: list[int]) -> Iterator[None]:
    """Note the most memory in use, again and again, until the block ends."""
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            used = memory_in_use()
            if used is not None:
                found.append(used)
            over.wait(POLL_S)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def serving(part: Part, log: Path) -> Iterator[None]:
    """Run a part's server while the block runs; raises `TimeoutError` if it never answers."""
    if not part.server:
        yield
        return
    with log.open("wb") as file:
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "1"}
        server = subprocess.Popen(
            part.server, stdout=file, stderr=subprocess.STDOUT, env=environment
        )
        try:
            await_answer(part.url, server)
            yield
        finally:
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(30)
            server.kill()


def await_answer(url: str, server: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers; raises `TimeoutError`, also if it has ended."""
    end = time.monotonic() + SERVER_S
    while time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(1)
    raise TimeoutError(f"no server at {url}")


def run(part: Part, logs: Path) -> Measured:
    """Run a part and measure it; its output goes to a file in `logs`."""
    if part.skipped:
        return Measured(part.name, f"not run: {part.skipped}")
    log = logs / f"{part.out.name}.log"
    found: list[int] = []
    started = time.monotonic()
    code: int | str
    try:
        with peak(found), serving(part, log.with_suffix(".server.log")), log.open("wb") as file:
            done = subprocess.run(
                part.command, stdout=file, stderr=subprocess.STDOUT, check=False, timeout=PART_S,
                env={**os.environ, **part.environment},
            )  # fmt: skip
        code = done.returncode
    except (TimeoutError, subprocess.TimeoutExpired) as error:
        code = str(error)
    seconds = time.monotonic() - started
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else ""
        return Measured(part.name, f"FAILED ({code})", seconds, max(found, default=None), tail=tail)
    tokens, rate = sampled(part.out)
    return Measured(part.name, "ok", seconds, max(found, default=None), tokens, rate)


def sampled(out: Path) -> tuple[int | None, float | None]:
    """Return the tokens that a training or an evaluation sampled, and those of a second."""
    report = out / "train.json"
    if report.is_file():
        budgets = json.loads(report.read_text())["budgets"]
        tokens, seconds = budgets["tokens_generated"], budgets["seconds"]
        return tokens, tokens / seconds if seconds else None
    records = [
        json.loads(line)
        for file in out.glob("*/*/completions.jsonl")
        for line in file.read_text().splitlines()
    ]
    counted = [record["completion_tokens"] for record in records if record["completion_tokens"]]
    return (sum(counted), None) if counted else (None, None)


def table(rows: Sequence[Measured]) -> str:
    """Return the measurements as text."""
    lines = [f"{'part':<34} {'seconds':>8} {'peak MiB':>9} {'tokens':>8} {'tokens/s':>9}  status"]
    for row in rows:
        shown = [row.memory_mib, row.tokens, row.tokens_per_s]
        memory, tokens, rate = ("-" if value is None else f"{value:,.0f}" for value in shown)
        lines.append(
            f"{row.name:<34} {row.seconds:>8.1f} {memory:>9} {tokens:>8} {rate:>9}  {row.status}"
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run all parts, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default=MODEL, help=f"folder or hub id (default: {MODEL})")
    parser.add_argument("--out", type=Path, default=Path("gpu-smoke"), help="folder of the runs")
    parser.add_argument(
        "--rehearse", action="store_true", help="run the commands on a CPU, without vLLM"
    )
    arguments = parser.parse_args(argv)
    gpus = 0 if arguments.rehearse else gpu_count()
    if not gpus and not arguments.rehearse:
        print(
            "gpu-smoke: error: no GPU: torch sees none here, so nothing was tried. Run it on a "
            "machine with an NVIDIA GPU and torch with CUDA; --rehearse runs the commands on a "
            "CPU.",
            file=sys.stderr,
        )
        return ExitCode.UNAVAILABLE
    if not arguments.rehearse and importlib.util.find_spec("vllm") is None:
        print(
            "gpu-smoke: error: vLLM is missing: pip install 'recode-eval[train,vllm]'.",
            file=sys.stderr,
        )
        return ExitCode.USAGE
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for part in parts(arguments.model, arguments.out, gpus, vllm=not arguments.rehearse):
        print(f"{part.name} ...", file=sys.stderr, flush=True)
        rows.append(run(part, arguments.out))
        if rows[-1].tail:
            print(rows[-1].tail, file=sys.stderr)
    if arguments.rehearse:
        print("A rehearsal on a CPU without vLLM: it proves the commands, nothing about GPUs.")
    print(table(rows))
    failed = any(row.status.startswith("FAILED") for row in rows)
    return ExitCode.CHECK_FAILED if failed else ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
