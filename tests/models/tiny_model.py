"""Checkpoints of a few hundred thousand random weights, made on the spot for the engine tests.

Real files in the hub's layout (safetensors, tokenizer, chat template), so that the real engines
load them; small enough that a test generates in milliseconds on a CPU.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CONTEXT = 512
VOCABULARY = 400
BOS, EOS, TURN = "<s>", "</s>", "<|turn|>"
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|turn|>' + message['role'] + '\n' + message['content'] + '</s>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|turn|>assistant\n' }}{% endif %}"
)
CORPUS = (
    "def add(a, b):\n    return a + b\n\nclass Stack:\n    def push(self, item):\n"
    "        self.items.append(item)\n\nimport numpy as np\nx = np.zeros((3, 4))\n"
    "<think>Let me solve this step by step.</think>\n<answer>\n```python\nprint('hello')\n```\n"
    "</answer>\nThe function now takes another argument; the old one was removed in version two.\n"
) * 20


def build_checkpoint(
    folder: Path,
    *,
    chat_template: str | None = CHAT_TEMPLATE,
    seed: int = 0,
    context: int = CONTEXT,
    generation: dict[str, Any] | None = None,
) -> Path:
    """Write a two-layer Llama with random weights; `generation` goes into its generation config."""
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    tokenizer = build_tokenizer(chat_template)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        initializer_range=0.25,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **(generation or {}),
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def build_tokenizer(chat_template: str | None = CHAT_TEMPLATE) -> Any:
    """Train a byte-level BPE tokenizer that puts a BOS before every plain text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[BOS, EOS, TURN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([CORPUS], trainer)
    backend.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, backend.token_to_id(BOS))]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=BOS, eos_token=EOS)
    tokenizer.chat_template = chat_template
    return tokenizer


def build_adapter(
    folder: Path,
    base: Path | str,
    *,
    dora: bool = False,
    zero: bool = False,
    seed: int = 1,
    name_in_config: str | None = None,
    targets: Sequence[str] = ("q_proj", "v_proj"),
) -> Path:
    """Write a LoRA or DoRA adapter of `base`, random unless `zero` (as it is before training)."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = LoraConfig(
            r=4, lora_alpha=16, target_modules=list(targets), use_dora=dora, task_type="CAUSAL_LM"
        )
        wrapped = get_peft_model(model, config)
        if not zero:
            for name, weight in wrapped.named_parameters():
                if "lora_B" in name or "lora_embedding_A" in name:
                    weight.data.normal_(std=0.5)
    wrapped.save_pretrained(folder)
    if name_in_config is not None:
        path = folder / "adapter_config.json"
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "base_model_name_or_path": name_in_config}))
    return folder
