"""Adapters whose merging used to make another model, in evaluation and `recode-train merge`."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

from models.tiny_model import build_adapter, build_checkpoint

from recode_eval.errors import UsageError
from recode_eval.models import adapter_merging
from recode_eval.models.checkpoint import resolve_checkpoint
from recode_eval.models.loading import check_token_ids, load_model, load_tokenizer
from recode_eval.models.options import ModelOptions
from recode_train.merging import merge

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = ModelOptions(device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model whose last layer is its embeddings."""
    from transformers import AutoModelForCausalLM

    folder = build_checkpoint(tmp_path_factory.mktemp("tied") / "base")
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.config.tie_word_embeddings = True
    model.lm_head.weight = model.model.embed_tokens.weight
    model.save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    return folder


def logits(model: Any) -> Any:
    import torch

    with torch.inference_mode():
        return model.eval()(torch.tensor([[1, 5, 9, 77]])).logits


def base_and_adapter(base: Path, adapter: Path) -> Any:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)


@pytest.mark.filterwarnings("ignore:Model with `tie_word_embeddings", "ignore:Input and output")
@pytest.mark.parametrize(("targets", "dora"), [
    (["lm_head"], False), (["embed_tokens"], False), (["lm_head", "q_proj"], True),
    (["embed_tokens", "lm_head"], False),
])  # fmt: skip
def test_an_adapter_on_one_of_two_tied_matrices_leaves_the_other_alone(
    tied: Path, tmp_path: Path, targets: list[str], dora: bool
) -> None:
    """LoRA on lm_head went into the embeddings too: the logits were off by 25.8, without a word."""
    import torch
    from transformers import AutoModelForCausalLM

    adapter = build_adapter(tmp_path / "adapter", tied, targets=targets, dora=dora)
    wanted = logits(base_and_adapter(tied, adapter))
    untouched = logits(AutoModelForCausalLM.from_pretrained(tied))
    assert not torch.allclose(wanted, untouched, atol=1e-2)
    loaded, details = load_model(resolve_checkpoint(str(adapter), OPTIONS), OPTIONS)
    assert torch.allclose(logits(loaded), wanted, atol=1e-3)
    assert details["adapter"]["trained"]
    merge(str(adapter), tmp_path / "merged")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert torch.allclose(logits(merged), wanted, atol=1e-3)
    assert not merged.config.tie_word_embeddings
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "merged"]


def test_an_adapter_beside_tied_matrices_leaves_them_tied(tied: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    adapter = build_adapter(tmp_path / "adapter", tied)
    merge(str(adapter), tmp_path / "merged")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert merged.config.tie_word_embeddings
    assert merged.lm_head.weight is merged.model.embed_tokens.weight


@pytest.mark.filterwarnings("ignore:Model with `tie_word_embeddings")
def test_a_merge_that_changes_the_answers_is_refused(
    tied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever else goes wrong in merging, the probe shows it: here the matrices stay tied."""
    adapter = build_adapter(tmp_path / "adapter", tied, targets=["lm_head"])
    monkeypatch.setattr(adapter_merging, "_untie", lambda *_: None)
    with pytest.raises(UsageError, match="changes the model's answers"):
        merge(str(adapter), tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


@pytest.fixture(params=["untied", "tied"])
def grown(request: pytest.FixtureRequest, tied: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Return a base and an adapter that was trained with two more tokens."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = tied if request.param == "tied" else build_checkpoint(tmp_path / "base")
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_tokens(["<|call|>", "<|result|>"])
    model = AutoModelForCausalLM.from_pretrained(base)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
        wrapped = get_peft_model(model, config)
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                weight.data.normal_(std=0.5)
    adapter = tmp_path / "adapter"
    wrapped.save_pretrained(adapter, save_embedding_layers=True)
    tokenizer.save_pretrained(adapter)
    torch.save(logits(wrapped), tmp_path / "wanted.pt")
    return base, adapter


def test_an_adapter_with_added_tokens(grown: tuple[Path, Path], tmp_path: Path) -> None:
    """The base has fewer embeddings than the adapter, which was refused for its shapes."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base, adapter = grown
    checkpoint = resolve_checkpoint(str(base), ModelOptions(adapter=str(adapter)))
    tokenizer = load_tokenizer(checkpoint, OPTIONS)
    model, _ = load_model(checkpoint, OPTIONS)
    check_token_ids(model, tokenizer, adapter)
    wanted = torch.load(tmp_path / "wanted.pt")
    assert torch.allclose(logits(model), wanted, atol=1e-3)
    merge(str(adapter), tmp_path / "merged", base=str(base))
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert torch.allclose(logits(merged), wanted, atol=1e-3)
    assert len(AutoTokenizer.from_pretrained(tmp_path / "merged")) == len(tokenizer)


def test_added_tokens_that_the_adapter_has_no_embeddings_of(tmp_path: Path) -> None:
    """Their embeddings were random in the training and are lost; any others would be a guess."""
    from transformers import AutoTokenizer

    base = build_checkpoint(tmp_path / "base")
    adapter = build_adapter(tmp_path / "adapter", base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_tokens(["<|call|>"])
    tokenizer.save_pretrained(adapter)
    with pytest.raises(UsageError, match=r"no embedding: the model has 400.*'<\|call\|>'"):
        merge(str(adapter), tmp_path / "merged")


@pytest.mark.parametrize("padding", [False, True])
def test_a_token_without_an_embedding_is_refused_when_loading(
    tmp_path: Path, padding: bool
) -> None:
    """It was an IndexError in the middle of a run. A token for padding alone does no harm."""
    from transformers import AutoTokenizer

    from recode_eval.models.transformers_model import TransformersModel

    base = shutil.copytree(build_checkpoint(tmp_path / "made"), tmp_path / "base")
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_special_tokens(
        {"pad_token": "<|pad|>"} if padding else {"additional_special_tokens": ["<|tool|>"]}
    )
    tokenizer.save_pretrained(base)
    if padding:
        TransformersModel(str(base), OPTIONS).close()
        return
    with pytest.raises(UsageError, match=r"first token beyond is .* with the id 400"):
        TransformersModel(str(base), OPTIONS)
