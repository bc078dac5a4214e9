"""What rewards cost beside a training step, on completions of about 1,000 characters.

Times the reward functions on one batch as TRL calls them, each batch with new completions, and sets
the sum against the least that a step of a very small transformer does: generate as many tokens,
then one forward and backward pass over them (no prompts, no optimiser, no reference model). Larger
models spend a smaller share on rewards. Run it with `python benchmarks/rewards.py` where torch and
transformers are installed; `--json` prints the figures for machines.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from recode_train.data import PairSet, load_pairs
from recode_train.rewards import build_rewards

BATCH = 32
GROUP = 8
TOKENS = 300
"""About what 1,000 characters of code come to."""
PREFILL = "<think>"


@dataclass(frozen=True)
class Measurement:
    """CPU seconds for one batch of completions."""

    characters: int
    completions: int
    seconds: dict[str, float]
    """By reward; the first one also extracts the code."""
    generation_s: float
    backward_s: float
    parameters: int

    @property
    def rewards_s(self) -> float:
        """All rewards together, and the copy rate that is logged with them."""
        return sum(self.seconds.values())

    @property
    def share(self) -> float:
        """What of a step goes to rewards."""
        return self.rewards_s / (self.rewards_s + self.generation_s + self.backward_s)


def program(characters: int, rng: random.Random) -> str:
    """Return a function of about so many characters, with comments and strings."""
    lines = ["def solve(values):"]
    while sum(len(line) + 1 for line in lines) < characters:
        name, other = rng.choice(["total", "frame", "index"]), rng.choice(["values", "axis"])
        comment = "  # it's a step" if rng.random() < 0.2 else ""
        lines.append(f"    {name} = combine({other}, {rng.randrange(100)}, 'mode'){comment}")
    return "\n".join([*lines, "    return total"])


def completion(code: str, rng: random.Random) -> str:
    """Return a turn with the code, some of its lines changed."""
    lines = [
        line.replace("combine", "merge") if rng.random() < 0.1 else line
        for line in code.split("\n")
    ]
    changed = "\n".join([*lines, f"# {rng.random()}"])
    return f"\nThe note says so.\n</think>\n<answer>\n```python\n{changed}\n```\n</answer>"


def pairs_of(references: list[str]) -> PairSet:
    """Return training pairs with these references."""
    rows = [
        {"dependency": "x", "update_info": f"note {n}", "old_code": "a = 1", "new_code": code}
        for n, code in enumerate(references)
    ]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "pairs.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return load_pairs(str(file))


def time_rewards(characters: int, batches: int, seed: int = 0) -> dict[str, float]:
    """Return the CPU seconds of each reward for one batch (the mean over batches)."""
    rng = random.Random(seed)
    references = [program(characters, rng) for _ in range(BATCH // GROUP)]
    pairs = pairs_of(references)
    names = ["format", "es_star", "em_star", "overlong"]
    rewards = build_rewards(
        dict.fromkeys(names, 1.0),
        pairs,
        prefills={pair.id: PREFILL for pair in pairs.pairs},
        completion_limit=1024,
        cache=256,
    )
    ids = [pair.id for pair in pairs.pairs for _ in range(GROUP)]
    # The monitor that every step runs, after the rewards, which have read the completions.
    timed = [*zip(rewards.names, rewards.functions, strict=True), ("copy rate", rewards.copied)]
    spent = dict.fromkeys([name for name, _ in timed], 0.0)
    for _ in range(batches):
        texts = [completion(code, rng) for code in references for _ in range(GROUP)]
        for name, function in timed:
            assert function is not None
            began = time.process_time()
            function(completions=texts, completion_ids=[[0] * TOKENS] * BATCH, pair_id=ids)
            spent[name] += time.process_time() - began
    return {name: seconds / batches for name, seconds in spent.items()}


def copy_reward() -> float:
    """Return the mean ES* that the old programs of the bundled training pairs earn."""
    pairs = load_pairs("migration")
    prefills = {pair.id: PREFILL for pair in pairs.pairs}
    (es_star,) = build_rewards({"es_star": 1.0}, pairs, prefills=prefills).functions
    turns = [
        f"\n</think>\n<answer>\n```python\n{pair.problem.solutions['stale']}\n```\n</answer>"
        for pair in pairs.pairs
    ]
    values = es_star(completions=turns, pair_id=[pair.id for pair in pairs.pairs])
    return sum(value for value in values if value is not None) / len(values)


def time_step() -> tuple[float, float, int]:
    """Return the CPU seconds of generating a batch and of training on it, and the parameters."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=512,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    torch.set_num_threads(1)  # idle threads that spin would count as CPU time
    model = Qwen2ForCausalLM(config)
    start = torch.ones((BATCH, 1), dtype=torch.long)
    began = time.process_time()
    ids = model.generate(
        start,
        attention_mask=torch.ones_like(start),
        do_sample=True,
        min_new_tokens=TOKENS,
        max_new_tokens=TOKENS,
    )
    generated = time.process_time()
    model(input_ids=ids, labels=ids).loss.backward()
    ended = time.process_time()
    parameters = sum(weights.numel() for weights in model.parameters())
    return generated - began, ended - generated, parameters


def measure(characters: int = 1000, batches: int = 20) -> Measurement:
    """Measure rewards and step."""
    return Measurement(characters, BATCH, time_rewards(characters, batches), *time_step())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    found = measure()
    if arguments.json:
        more = {"share": found.share, "copy_es_star": copy_reward()}
        print(json.dumps(asdict(found) | more, indent=2))
        return 0
    print(f"{found.completions} completions of about {found.characters:,} characters, CPU ms")
    for name, seconds in found.seconds.items():
        print(f"  {name:<12} {1e3 * seconds:8.2f}")
    print(f"  {'all rewards':<12} {1e3 * found.rewards_s:8.2f}")
    print(f"  {'generating':<12} {1e3 * found.generation_s:8.2f}")
    print(f"  {'backward':<12} {1e3 * found.backward_s:8.2f}  ({found.parameters:,} parameters)")
    print(f"  share of the rewards {found.share:.2%}")
    print(f"mean ES* of the old programs of the bundled training pairs: {copy_reward():.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
