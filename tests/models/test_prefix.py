"""One prefill for all samples of a problem: the same texts as without it, and fewer tokens read."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch", reason="needs pip install 'recode-eval[transformers]'")
transformers = pytest.importorskip(
    "transformers", reason="needs pip install 'recode-eval[transformers]'"
)

import tiny_model  # noqa: E402

from recode_eval.errors import InfrastructureError  # noqa: E402
from recode_eval.models import ModelOptions, SamplingParameters, create_model  # noqa: E402
from recode_eval.models import prefix as prefix_module  # noqa: E402
from recode_eval.models.transformers_model import TransformersModel  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Requests = Callable[..., Any]

SAMPLED = SamplingParameters(temperature=0.9, top_p=0.95, max_tokens=24)
GREEDY = SamplingParameters(temperature=0, max_tokens=24)


def load(path: Path, **options: Any) -> Any:
    return create_model(str(path), backend="transformers", options=ModelOptions(**options))


def unshared(model: Any) -> Any:
    """Let every row have its own prefill, in the library's cache."""
    model._sharing.obstacle = "a test compares both"
    return model


def outcome(completions: Any) -> dict[tuple[str, int], tuple[Any, ...]]:
    return {
        (c.problem_id, c.sample): (c.text, c.finish_reason, c.prompt_tokens, c.completion_tokens)
        for c in completions
    }


@pytest.fixture
def read_tokens(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The shape (rows, tokens) of everything that a Llama reads in the test."""
    from transformers import LlamaForCausalLM

    seen: list[tuple[int, int]] = []
    real = LlamaForCausalLM.__call__

    def counted(self: Any, *args: Any, **inputs: Any) -> Any:
        seen.append(tuple(inputs["input_ids"].shape))
        return real(self, *args, **inputs)

    monkeypatch.setattr(LlamaForCausalLM, "__call__", counted)
    return seen


@pytest.mark.parametrize("parameters", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("batch", [3, 8, 64])
@pytest.mark.parametrize("questions", [1, 6], ids=["one problem", "several problems"])
def test_the_same_texts_as_with_a_prefill_for_every_sample(
    tiny: Path, make_requests: Requests, parameters: Any, batch: int, questions: int
) -> None:
    requests = make_requests(samples=range(5))[:questions]
    shared = outcome(load(tiny, batch_size=batch).generate(requests, parameters))
    plain = outcome(unshared(load(tiny, batch_size=batch)).generate(requests, parameters))
    assert shared == plain
    assert len(shared) == 5 * questions


def test_a_prompt_is_read_once_for_all_its_samples(
    tiny: Path, make_requests: Requests, read_tokens: list[tuple[int, int]]
) -> None:
    """Ten samples of a problem cost ten prefills, which were most of the time."""
    requests = make_requests(samples=range(10))[:2]
    list(load(tiny, batch_size=20).generate(requests, GREEDY))
    width = max(len(load(tiny)._encoder.encode(request.prompt)) for request in requests)
    assert read_tokens[0] == (2, width - 1)
    assert set(read_tokens[1:]) == {(20, 1)}


def test_batches_end_between_problems_and_prefill_once(
    tiny: Path, make_requests: Requests, read_tokens: list[tuple[int, int]]
) -> None:
    """A batch of ten holds two problems of four samples; a larger problem is split."""
    list(load(tiny, batch_size=10).generate(make_requests(samples=range(4)), GREEDY))
    prefills = [shape for shape in read_tokens if shape[1] > 1]
    assert [rows for rows, _ in prefills] == [2, 2, 2]
    read_tokens.clear()
    list(load(tiny, batch_size=3).generate(make_requests(samples=range(7))[:1], GREEDY))
    assert [rows for rows, tokens in read_tokens if tokens > 1] == [1, 1, 1]
    assert {rows for rows, tokens in read_tokens if tokens == 1} == {3, 1}


def test_single_samples_are_not_prefilled_apart(
    tiny: Path, make_requests: Requests, read_tokens: list[tuple[int, int]]
) -> None:
    list(load(tiny, batch_size=6).generate(make_requests(samples=(0,)), GREEDY))
    assert [rows for rows, tokens in read_tokens if tokens > 1] == [6]


def test_a_part_of_the_samples_is_the_same_part(tiny: Path, make_requests: Requests) -> None:
    """A run that goes on after an interruption asks for what is missing, here samples 3 to 9."""
    everything = outcome(
        load(tiny, batch_size=20).generate(make_requests(samples=range(10)), SAMPLED)
    )
    rest = outcome(load(tiny, batch_size=20).generate(make_requests(samples=range(3, 10)), SAMPLED))
    assert rest == {key: value for key, value in everything.items() if key[1] >= 3}
    assert len(rest) == 42


def test_rows_that_stop_and_end_early(tiny: Path, make_requests: Requests) -> None:
    """Each row stops at its own place: at a stop string, an end token, or its token limit."""
    requests = make_requests(samples=range(4))[:4]
    full = outcome(load(tiny, batch_size=16).generate(requests, SAMPLED))
    stop = (full["p0", 1][0][4:6], full["p2", 3][0][7:9])
    parameters = SamplingParameters(temperature=0.9, top_p=0.95, max_tokens=24, stop=stop)

    def ending(model: Any) -> Any:
        first = model._encoder.tokenizer(full["p1", 0][0], add_special_tokens=False)["input_ids"]
        model._eos = [*model._eos, first[len(first) // 2]]
        return model

    shared = outcome(ending(load(tiny, batch_size=16)).generate(requests, parameters))
    plain = outcome(ending(unshared(load(tiny, batch_size=16))).generate(requests, parameters))
    assert shared == plain
    assert len(Counter(tokens for *_, tokens in shared.values())) > 3
    assert len({reason for _, reason, *_ in shared.values()}) == 2


def test_texts_longer_than_the_spare_room(
    tiny: Path, make_requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache grows several times within one completion."""
    requests = make_requests(samples=range(3))[:3]
    plain = outcome(unshared(load(tiny)).generate(requests, SAMPLED))
    monkeypatch.setattr(prefix_module, "_SPARE", 5)
    assert outcome(load(tiny).generate(requests, SAMPLED)) == plain


def test_memory_that_runs_out_in_the_prefill_halves_the_batch(
    tiny: Path, make_requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = make_requests(samples=range(2))
    expected = outcome(load(tiny, batch_size=12).generate(requests, SAMPLED))
    model, rows = load(tiny, batch_size=12), []
    real = model._sharing._prefill

    def small_memory(cache: Any, ids: Any, mask: Any) -> None:
        rows.append(len(ids))
        if len(ids) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        real(cache, ids, mask)

    monkeypatch.setattr(model._sharing, "_prefill", small_memory)
    assert outcome(model.generate(requests, SAMPLED)) == expected
    assert rows[:2] == [6, 3]
    assert model._sharing.obstacle is None


def test_memory_that_never_suffices_is_said(
    tiny: Path, make_requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(tiny, batch_size=2)

    def no_memory(*_: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9")

    monkeypatch.setattr(prefix_module, "_new_cache", no_memory)
    with pytest.raises(InfrastructureError, match="single sample of"):
        list(model.generate(make_requests(), SAMPLED))


def test_a_prefill_that_fails_otherwise_is_left_out(
    tiny: Path,
    make_requests: Requests,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A model that cannot be driven this way still gives its texts, and the log says why, once."""
    requests = make_requests()
    expected = outcome(unshared(load(tiny, batch_size=4)).generate(requests, SAMPLED))
    model = load(tiny, batch_size=4)

    def unusual(*_: Any) -> None:
        raise TypeError("forward() got an unexpected keyword argument")

    monkeypatch.setattr(model._sharing, "_prefill", unusual)
    with caplog.at_level(logging.INFO):
        assert outcome(model.generate(requests, SAMPLED)) == expected
    assert caplog.text.count("its own prefill") == 1
    assert "TypeError: forward() got" in caplog.text


def around(kind: str, **config: Any) -> TransformersModel:
    """A tiny model of random weights, of the class `kind`."""
    tokenizer = tiny_model.build_tokenizer()
    config_class = getattr(transformers, kind.removesuffix("ForCausalLM") + "Config")
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.25,
        "pad_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        **config,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = getattr(transformers, kind)(config_class(**sizes)).eval()
    return TransformersModel.around(model, tokenizer, name=kind, identity={})


WINDOWED = {"head_dim": 16, "sliding_window": 9}


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("MistralForCausalLM", WINDOWED),
        ("Gemma2ForCausalLM", WINDOWED),
        ("Qwen3ForCausalLM", {"head_dim": 16}),
        ("GPT2LMHeadModel", {"n_embd": 64, "n_head": 4, "n_layer": 2}),
    ],
)
def test_other_architectures_share_too(
    kind: str, config: dict[str, Any], make_requests: Requests
) -> None:
    """Windows that are shorter than the prompts, mixed layers, learned positions."""
    if kind == "GPT2LMHeadModel":
        model = around_gpt2(**config)
        plain_model = unshared(around_gpt2(**config))
    else:
        model, plain_model = around(kind, **config), unshared(around(kind, **config))
    assert model._sharing.obstacle is None
    assert model.info.details["shared_prefill"] is True
    requests = make_requests(samples=range(3))
    for parameters in (GREEDY, SAMPLED):
        plain = outcome(plain_model.generate(requests, parameters))
        assert outcome(model.generate(requests, parameters)) == plain


def around_gpt2(**config: Any) -> TransformersModel:
    tokenizer = tiny_model.build_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.GPT2LMHeadModel(
            transformers.GPT2Config(
                vocab_size=len(tokenizer),
                eos_token_id=tokenizer.eos_token_id,
                initializer_range=0.25,
                **config,
            )
        ).eval()
    return TransformersModel.around(model, tokenizer, name="gpt2", identity={})


@pytest.mark.parametrize(
    ("kind", "config", "layer"),
    [
        ("MambaForCausalLM", {"state_size": 4}, "LinearAttentionLayer"),
        (
            "JambaForCausalLM",
            {
                "attn_layer_period": 2,
                "attn_layer_offset": 1,
                "expert_layer_period": 2,
                "num_experts": 2,
                "mamba_d_state": 4,
                "mamba_dt_rank": 4,
                "use_mamba_kernels": False,
            },
            "LinearAttention",
        ),
    ],
)
def test_state_space_and_hybrid_models_do_as_before(
    kind: str,
    config: dict[str, Any],
    layer: str,
    make_requests: Requests,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What such a layer remembers is no list of tokens; copying keys and values would lose it."""
    with caplog.at_level(logging.INFO):
        model = around(kind, **config)
        found = outcome(model.generate(make_requests(samples=range(2))[:2], GREEDY))
    assert layer in (model._sharing.obstacle or "")
    assert model.info.details["shared_prefill"] is False
    assert caplog.text.count("each sample gets its own prefill") == 1
    assert len(found) == 4
    assert found["p0", 0] == found["p0", 1]


def test_the_roomy_layer_holds_what_the_librarys_holds() -> None:
    """Through appending, growing, selecting rows and dropping tokens."""
    from transformers.cache_utils import DynamicLayer

    ours, theirs = prefix_module._roomy_layer()(), DynamicLayer()
    generator = torch.Generator().manual_seed(0)

    def append(rows: int, tokens: int) -> None:
        keys, values = torch.rand(2, rows, 2, tokens, 4, generator=generator)
        for got, wanted in zip(ours.update(keys, values), theirs.update(keys, values), strict=True):
            assert torch.equal(got, wanted)

    append(2, 7)
    for layer in (ours, theirs):
        layer.batch_select_indices(torch.tensor([0, 0, 1, 1, 1]))
    for _ in range(prefix_module._SPARE + 3):
        append(5, 1)
    for layer in (ours, theirs):
        layer.crop(-4)
    append(5, 2)
    for layer in (ours, theirs):
        layer.batch_select_indices(torch.tensor([4, 0]))
    append(2, 1)
    assert ours.get_seq_length() == theirs.get_seq_length() == 7 + prefix_module._SPARE + 2
    assert ours.get_mask_sizes(1) == theirs.get_mask_sizes(1)
