"""The transformers back-end on a real (tiny) checkpoint: nothing of the engine is faked."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch", reason="needs pip install 'recode-eval[transformers]'")
pytest.importorskip("transformers", reason="needs pip install 'recode-eval[transformers]'")

import tiny_model  # noqa: E402

from recode_eval.errors import InfrastructureError, UsageError  # noqa: E402
from recode_eval.models import (  # noqa: E402
    Completion,
    FinishReason,
    Message,
    Model,
    ModelOptions,
    Prompt,
    Request,
    SamplingParameters,
    create_model,
)
from recode_eval.models import sampling as sampling_module  # noqa: E402
from recode_eval.models.sampling import SeededSampler, nucleus_sample  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

SAMPLED = SamplingParameters(temperature=0.9, top_p=0.95, max_tokens=24)
GREEDY = SamplingParameters(temperature=0, max_tokens=24)
Requests = "Callable[..., list[Request]]"


def load(path: Path, **options: Any) -> Any:
    return create_model(str(path), backend="transformers", options=ModelOptions(**options))


def texts(completions: Any) -> dict[tuple[str, int], str]:
    return {(c.problem_id, c.sample): c.text for c in completions}


@pytest.fixture(scope="module")
def model(tiny: Path) -> Any:
    return load(tiny, batch_size=5)


def test_every_sample_comes_once_with_its_counts(model: Any, make_requests: Requests) -> None:
    requests = make_requests()
    completions = list(model.generate(requests, SAMPLED))
    assert isinstance(model, Model)
    wanted = {(r.problem_id, s) for r in requests for s in r.samples}
    assert Counter((c.problem_id, c.sample) for c in completions) == Counter(wanted)
    for completion in completions:
        assert completion.prompt_tokens > 10
        assert 1 <= completion.completion_tokens <= SAMPLED.max_tokens
        assert completion.seconds > 0


def test_greedy_equals_the_library_unbatched(
    model: Any, tiny: Path, make_requests: Requests
) -> None:
    """Left padding without a mask or position ids changes every row but the longest."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    plain = AutoModelForCausalLM.from_pretrained(tiny)
    requests = make_requests(samples=(0,))
    ours = texts(model.generate(requests, GREEDY))
    for request in requests:
        chat = [{"role": m.role, "content": m.content} for m in request.prompt.messages]
        chat.append({"role": "assistant", "content": request.prompt.prefill})
        ids = tokenizer.apply_chat_template(
            chat, continue_final_message=True, return_tensors="pt", return_dict=True
        )["input_ids"]
        output = plain.generate(ids, do_sample=False, max_new_tokens=GREEDY.max_tokens)
        new = tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True)
        assert ours[request.problem_id, 0] == new.rstrip("\ufffd")


def test_a_sample_does_not_depend_on_its_batch(
    model: Any, tiny: Path, make_requests: Requests
) -> None:
    """Sample 3 drawn alone, among others, in another order and batch size: always the same."""
    everything = texts(model.generate(make_requests(samples=range(4)), SAMPLED))
    assert len(set(everything.values())) == len(everything)
    alone = texts(model.generate(make_requests(samples=(3,))[2:3], SAMPLED))
    assert alone["p2", 3] == everything["p2", 3]
    other = load(tiny, batch_size=3)
    reordered = texts(other.generate(make_requests(samples=(3, 1))[::-1], SAMPLED))
    assert reordered == {key: everything[key] for key in reordered}


def test_fewer_tokens_are_a_prefix(model: Any, make_requests: Requests) -> None:
    short = SamplingParameters(temperature=0.9, top_p=0.95, max_tokens=6)
    long_texts = texts(model.generate(make_requests(), SAMPLED))
    for key, text in texts(model.generate(make_requests(), short)).items():
        assert long_texts[key].startswith(text)


def test_other_seeds_give_other_samples(model: Any, make_requests: Requests) -> None:
    (first,) = make_requests(samples=(0,))[:1]
    second = Request(first.problem_id, first.prompt, (0,), (77,))
    assert texts(model.generate([first], SAMPLED)) != texts(model.generate([second], SAMPLED))
    assert texts(model.generate([first], GREEDY)) == texts(model.generate([second], GREEDY))


@pytest.mark.parametrize("limit", [1, 7])
def test_max_tokens(model: Any, make_requests: Requests, limit: int) -> None:
    parameters = SamplingParameters(temperature=0, max_tokens=limit)
    for completion in model.generate(make_requests(), parameters):
        assert completion.completion_tokens == limit
        assert completion.finish_reason is FinishReason.LENGTH


def test_stop_strings_are_trimmed_and_end_the_row(model: Any, make_requests: Requests) -> None:
    """The rows of a batch stop at different places; the others go on to their own end."""
    requests = make_requests(samples=(0,))
    full = {c.problem_id: c for c in model.generate(requests, GREEDY)}
    stop = tuple(full[name].text[5:8] for name in ("p0", "p1"))
    parameters = SamplingParameters(temperature=0, max_tokens=24, stop=stop)
    stopped = set()
    for completion in model.generate(requests, parameters):
        whole = full[completion.problem_id]
        found = [whole.text.find(text) for text in stop if text in whole.text]
        if found:
            stopped.add(completion.problem_id)
            assert completion.text == whole.text[: min(found)]
            assert completion.finish_reason is FinishReason.STOP
            assert completion.completion_tokens < whole.completion_tokens
        else:
            assert replace(completion, seconds=None) == replace(whole, seconds=None)
    assert {"p0", "p1"} <= stopped != set(full)


def test_every_end_token_of_the_generation_config_ends_a_row(
    tiny: Path, tmp_path: Path, make_requests: Requests
) -> None:
    """A chat model ends its turn with a token that its tokenizer does not call EOS."""
    (request,) = make_requests(samples=(0,))[:1]
    plain = load(tiny)
    prompt = plain._encoder.encode(request.prompt)
    ids = plain._model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=9)
    new = ids[0, len(prompt) :].tolist()
    folder = tmp_path / "copy"
    shutil.copytree(tiny, folder)
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": [1, new[4]]}))
    (ended,) = load(folder).generate([request], GREEDY)
    assert ended.finish_reason is FinishReason.STOP
    assert ended.completion_tokens == new.index(new[4]) + 1
    assert ended.text == plain._encoder.decode(prompt, new[: new.index(new[4])])


def test_the_checkpoints_own_sampling_defaults_have_no_effect(
    model: Any, tmp_path: Path, make_requests: Requests
) -> None:
    """Some checkpoints carry a repetition penalty that the library applies without asking."""
    generation = {"repetition_penalty": 5.0, "do_sample": True, "top_k": 1, "temperature": 0.1}
    folder = tiny_model.build_checkpoint(tmp_path / "penalised", generation=generation)
    requests = make_requests()
    penalised = texts(load(folder, batch_size=5).generate(requests, SAMPLED))
    assert penalised == texts(model.generate(requests, SAMPLED))


def test_prompt_longer_than_the_context_is_a_record(model: Any, make_requests: Requests) -> None:
    requests = make_requests(["short", "many words " * 400])
    found = {(c.problem_id, c.sample): c for c in model.generate(requests, GREEDY)}
    assert len(found) == 4
    for sample in (0, 1):
        completion = found["p1", sample]
        assert completion.finish_reason is FinishReason.PROMPT_TOO_LONG
        assert completion.text == ""
        assert completion.prompt_tokens > tiny_model.CONTEXT
        assert found["p0", sample].finish_reason is FinishReason.LENGTH


def test_context_limits_the_row_not_the_batch(tiny: Path, make_requests: Requests) -> None:
    """The longest prompt of a batch cut the completions of all others short."""
    requests = make_requests(samples=(0,))
    full = {c.problem_id: c for c in load(tiny).generate(requests, GREEDY)}
    context = max(c.prompt_tokens for c in full.values()) + 5
    limited = {c.problem_id: c for c in load(tiny, max_context=context).generate(requests, GREEDY)}
    for name, completion in limited.items():
        room = context - completion.prompt_tokens
        assert completion.completion_tokens == min(full[name].completion_tokens, room)
        assert full[name].text.startswith(completion.text)
    assert limited["p2"].completion_tokens == 5
    with pytest.raises(UsageError, match="max_context 9999 exceeds"):
        load(tiny, max_context=9999)


def test_out_of_memory_halves_the_batch_and_goes_on(tiny: Path, make_requests: Requests) -> None:
    model = load(tiny, batch_size=12)
    expected = texts(load(tiny, batch_size=12).generate(make_requests(), SAMPLED))
    real, sizes = model._model.generate, []

    def small_memory(input_ids: Any, **settings: Any) -> Any:
        sizes.append(len(input_ids))
        if len(input_ids) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return real(input_ids, **settings)

    model._model.generate = small_memory
    assert texts(model.generate(make_requests(), SAMPLED)) == expected
    assert sizes == [12, 6, 3, 3, 2, 2, 2]


def test_a_single_row_out_of_memory_names_the_fix(tiny: Path, make_requests: Requests) -> None:
    model = load(tiny, batch_size=2)

    def no_memory(input_ids: Any, **settings: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9")

    model._model.generate = no_memory
    with pytest.raises(InfrastructureError, match=r"single sample of .* lower --max-tokens"):
        list(model.generate(make_requests(), SAMPLED))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_nan_logits_are_not_sampled(temperature: float) -> None:
    sampler = SeededSampler([0], temperature, 1.0)
    with pytest.raises(InfrastructureError, match="NaN instead of logits"):
        sampler(None, torch.tensor([[0.0, float("nan")]]))


def test_nucleus_sampling_has_the_right_distribution() -> None:
    """Against the definition: renormalised probabilities of the smallest set that reaches top_p."""
    probabilities = torch.tensor([0.05, 0.5, 0.15, 0.3])
    rows = 20_000
    uniforms = (torch.arange(rows, dtype=torch.float64) + 0.5) / rows
    drawn = nucleus_sample(probabilities.log().expand(rows, 4), uniforms, 1.0, 0.75)
    share = torch.bincount(drawn, minlength=4) / rows
    assert share.tolist() == pytest.approx([0, 0.5 / 0.8, 0, 0.3 / 0.8], abs=1e-3)
    heated = nucleus_sample(probabilities.log().expand(rows, 4), uniforms, 2.0, 1.0)
    expected = probabilities.sqrt() / probabilities.sqrt().sum()
    share = torch.bincount(heated, minlength=4) / rows
    assert share.tolist() == pytest.approx(expected.tolist(), abs=1e-3)


@pytest.mark.parametrize("top_p", [1e-6, 0.5, 0.95, 0.9999, 1.0])
@pytest.mark.parametrize("spread", [0.0, 0.1, 1.0, 6.0])
def test_a_sorted_head_draws_what_the_sorted_whole_draws(
    monkeypatch: pytest.MonkeyPatch, top_p: float, spread: float
) -> None:
    """Rows whose nucleus is small and large, and many tokens that are equally probable."""
    generator = torch.Generator().manual_seed(0)
    scores = (torch.randn(200, 3000, generator=generator) * spread).round(decimals=1)
    uniforms = torch.rand(200, dtype=torch.float64, generator=generator)
    for part in (scores, scores[:7]):
        monkeypatch.setattr(sampling_module, "_HEAD", 64)
        quick = nucleus_sample(part, uniforms[: len(part)], 0.8, top_p)
        monkeypatch.setattr(sampling_module, "_HEAD", 10_000)
        assert torch.equal(quick, nucleus_sample(part, uniforms[: len(part)], 0.8, top_p))


@pytest.mark.parametrize("top_p", [1e-9, 0.3, 1.0])
@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-53])
def test_nucleus_is_never_empty_nor_overstepped(top_p: float, uniform: float) -> None:
    scores = torch.tensor([[0.0, 3.0, -torch.inf, 1.0]])
    token = nucleus_sample(scores, torch.tensor([uniform], dtype=torch.float64), 1.0, top_p)
    assert int(token) in ({1} if top_p < 0.5 else {0, 1, 3})


@pytest.mark.parametrize("kind", ["lora", "dora"])
@pytest.mark.parametrize("given_as", ["adapter", "model"])
def test_adapter_is_applied(
    model: Any,
    tiny: Path,
    adapters: dict[str, Path],
    make_requests: Requests,
    kind: str,
    given_as: str,
) -> None:
    """An adapter that silently had no effect gave the base's scores; compare with PEFT itself."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    path = adapters[kind]
    adapted = load(path) if given_as == "model" else load(tiny, adapter=str(path))
    assert adapted.info.details["adapter"]["layers_changed"] == 4
    requests = make_requests(samples=(0,))[:3]
    ours = texts(adapted.generate(requests, GREEDY))
    assert ours != texts(model.generate(requests, GREEDY))
    reference = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny), path)
    for request in requests:
        ids = adapted._encoder.encode(request.prompt)
        output = reference.generate(
            input_ids=torch.tensor([ids]), do_sample=False, max_new_tokens=GREEDY.max_tokens
        )
        new = adapted._encoder.decode(ids, output[0, len(ids) :].tolist())
        assert ours[request.problem_id, 0] == new.rstrip("\ufffd")
    assert adapted.info.identity != model.info.identity
    assert adapted.info.identity["adapter"]["path"] == str(path)


def test_untrained_adapter_is_loud(
    tiny: Path, adapters: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    details = load(tiny, adapter=str(adapters["untrained"])).info.details["adapter"]
    assert details == {"layers": 4, "layers_changed": 0, "trained": False}
    assert "untrained" in caplog.text


def test_adapter_of_another_model_is_refused(
    tiny: Path, adapters: dict[str, Path], tmp_path: Path
) -> None:
    """PEFT only warns when an adapter's weights find no place."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "renamed"
    shutil.copytree(adapters["lora"], folder)
    path = folder / "adapter_model.safetensors"
    weights = {key.replace("layers.1", "layers.7"): value for key, value in load_file(path).items()}
    save_file(weights, path)
    with pytest.raises(UsageError, match="lacks 4 weights"):
        load(tiny, adapter=str(folder))


def test_checkpoint_with_missing_weights_is_refused(tiny: Path, tmp_path: Path) -> None:
    """The library fills the gap with random numbers and only warns."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "holes"
    shutil.copytree(tiny, folder)
    path = folder / "model.safetensors"
    weights = load_file(path)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(UsageError, match=r"lacks 1 weights.*up_proj"):
        load(folder)


def test_damaged_checkpoint(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(tiny, folder)
    (folder / "model.safetensors").write_bytes(b"\x10")
    with pytest.raises(UsageError, match="cannot load the model"):
        load(folder)


def test_device_that_is_not_there(tiny: Path) -> None:
    with pytest.raises(UsageError, match="device 'nonsense' is not available"):
        load(tiny, device="nonsense")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="device 'cuda' is not available"):
            load(tiny, device="cuda")


def test_dtype_is_in_the_identity(tiny: Path, make_requests: Requests) -> None:
    half = load(tiny, dtype="bfloat16", device="cpu")
    assert half.info.identity["dtype"] == "bfloat16"
    assert len(list(half.generate(make_requests(), SAMPLED))) == 12


def test_model_without_template_continues_plain_text(tmp_path: Path) -> None:
    """A base model gets the prompt as it is, with one BOS."""
    folder = tiny_model.build_checkpoint(tmp_path / "base", chat_template=None)
    model = load(folder)
    assert model.info.details["chat_template"] is False
    prompt = Prompt((Message("user", "def add(a, b):\n"),))
    ids = model._encoder.encode(prompt)
    assert ids.count(model._encoder.tokenizer.bos_token_id) == 1
    assert model._encoder.tokenizer.decode(ids) == "<s>def add(a, b):\n"
    (only,) = model.generate([Request("p", prompt, (0,), (0,))], GREEDY)
    assert isinstance(only, Completion)


def test_close_is_idempotent(tiny: Path) -> None:
    model = load(tiny)
    model.close()
    model.close()


def test_a_tokenizer_of_its_own_beside_a_qwen2_is_not_replaced(tmp_path: Path) -> None:
    """Transformers 5 took Qwen2's tokenizer there: words vanished, and every score was wrong."""
    from transformers import Qwen2Config

    from recode_eval.models.checkpoint import resolve_checkpoint
    from recode_eval.models.loading import load_tokenizer
    from recode_eval.models.options import ModelOptions
    from recode_train.demo.tokenizer import make_tokenizer

    own = make_tokenizer()
    own.save_pretrained(tmp_path)
    Qwen2Config(vocab_size=len(own)).save_pretrained(tmp_path)
    text = "This program needs no change.\n"
    options = ModelOptions()
    loaded = load_tokenizer(resolve_checkpoint(str(tmp_path), options), options)
    assert loaded(text)["input_ids"] == own(text)["input_ids"]
    assert loaded.decode(loaded(text)["input_ids"]) == text
    assert loaded.padding_side == "left"
