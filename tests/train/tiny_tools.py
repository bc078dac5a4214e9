"""A tiny model whose chat template has tool calls, and rollouts whose text a script writes.

A random model never calls a tool. So the tests write what it "says" (`scripted`); rendering,
parsing, the loop of calls, the sandbox, rewards, loss and update are the real ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from recode_train.config import TrainConfig
    from recode_train.data import PairSet

Script = Callable[[str, int, float], str]
"""The conversation so far, how many results of tools it holds, a random number -> what is said."""


def make_tool_tokenizer(chat_template: str | None = None) -> Any:
    """One token per byte, the special tokens of Qwen3, and its chat template."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast
    from trl.chat_template_utils import qwen3_chat_template

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(alphabet)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([AddedToken(t) for t in ("<pad>", "<|im_start|>", "<|im_end|>")])
    inner.add_tokens(
        [AddedToken(t) for t in ("<think>", "</think>", "<tool_call>", "</tool_call>")]
    )
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<|im_end|>", padding_side="left"
    )
    made.chat_template = qwen3_chat_template if chat_template is None else chat_template
    return made


def save_tool_model(folder: Path, *, chat_template: str | None = None) -> Path:
    """Write a Llama of some 20,000 random weights with this tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = make_tool_tokenizer(chat_template)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=16384,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tool_config(model: Path, output: Path, algorithm: str = "grpo", **settings: Any) -> TrainConfig:
    """Settings of a run with tools whose reward is the tests'."""
    from recode_train.config import TrainConfig

    base: dict[str, Any] = {
        "tuning": "full",
        "max_steps": 1,
        "save_steps": 1,
        "learning_rate": 1e-2,
        "lr_scheduler_type": "constant",
        "warmup_steps": 0,
        "max_prompt_length": 8000,
        "max_completion_length": 3000,
        "per_device_train_batch_size": 4,
        "num_generations": 4,
        "prompt": "plain",
        "rewards": {"tests": 1.0},
        "tools": ("run", "read"),
        "sandbox": "landlock",
        "sandbox_workers": 1,
    }
    return TrainConfig.from_sources(
        algorithm, model=str(model), output=str(output), **{**base, **settings}
    )


def call(name: str, arguments: Any) -> str:
    """Return a call as Qwen3 writes it."""
    text = json.dumps({"name": name, "arguments": arguments})
    return f"<tool_call>\n{text}\n</tool_call>"


def answer(code: str) -> str:
    return f"```python\n{code}\n```"


def scripted(monkeypatch: pytest.MonkeyPatch, script: Script, log: list[str] | None = None) -> None:
    """Let the script write what the model samples; `log` gets the conversations it was shown.

    The random number comes from the generator that sampling uses, which checkpoints keep.
    """
    import torch
    import trl

    def single_turn(self: Any, prompt_ids: Any, *_: Any, **__: Any) -> tuple[list[list[int]], None]:
        found = []
        for ids in prompt_ids:
            shown = self._tokenizer.decode(ids)
            if log is not None:
                log.append(shown)
            said = script(shown, shown.count("<tool_response>"), float(torch.rand(())))
            made = self._tokenizer(said + "<|im_end|>", add_special_tokens=False)["input_ids"]
            found.append([int(token) for token in made])
        return found, None

    monkeypatch.setattr(trl.GRPOTrainer, "_generate_single_turn", single_turn)


def train_pairs(config: TrainConfig, pairs: PairSet, **more: Any) -> Any:
    """Train on these pairs as `train` would on its own data.

    Where all rewards are equal, which stops a training, the last checkpoint stands for the result.
    """
    from recode_train import checkpoints
    from recode_train.stopping import BarrenError
    from recode_train.trainers import loading
    from recode_train.trainers.running import run
    from recode_train.trainers.training_data import prepare

    source = loading.find(config)
    data = prepare(config, pairs, loading.tokenizer(source))
    try:
        return run(config, source, data, **more)
    except BarrenError:
        output = Path(config.output)
        found = checkpoints.latest(output)
        assert found is not None
        report = checkpoints.read_report(output)
        return SimpleNamespace(
            final=found[0], budgets=found[1]["progress"], report=report, steps=found[1]["step"]
        )
