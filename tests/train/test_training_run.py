"""A run as a whole: real pairs, evaluation on the way, the log, and what is refused beforehand."""

import contextlib
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from fake_sandbox import FakeSandbox
from migration_rows import write_pairs
from tiny_training import config, letter_share, make_tokenizer, save_model, start, training_data
from training_pairs import training_row

from recode_eval.errors import InfrastructureError, StorageError, UsageError
from recode_train.checkpoints import append_log, read_log
from recode_train.config import TrainConfig
from recode_train.trainers import train

pytestmark = pytest.mark.slow

NAMES = ["a", "b", "c"]


@pytest.fixture(scope="module")
def long_model(libraries: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that takes prompts of thousands of bytes."""
    return save_model(tmp_path_factory.mktemp("long-model"), context=8192)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    rows = [training_row(id=f"string-shout-{i}", apis=[f"numpy.shout{i}"]) for i in range(3)]
    return write_pairs(tmp_path / "pairs.jsonl", *rows)


def real(algorithm: str, model: Path, output: Path, pairs: Path, **more: Any) -> TrainConfig:
    settings = {
        "data": str(pairs),
        "max_prompt_length": 4096,
        "max_completion_length": 24 if algorithm != "sft" else 1024,
        "max_steps": 2,
        **more,
    }
    return config(algorithm, model, output, **settings)


@pytest.fixture
def varied_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rewards of random bytes that vary: a training in which they never do is stopped."""
    monkeypatch.setattr("recode_train.rewards.format_reward", lambda text, *_: len(set(text)) / 99)


@pytest.mark.usefixtures("varied_form")
@pytest.mark.parametrize("algorithm", ["sft", "grpo", "dapo"])
def test_real_pairs_and_rewards(
    long_model: Path, tmp_path: Path, pairs: Path, algorithm: str
) -> None:
    """From a file of pairs to trained weights and a report, by the public function alone."""
    result = train(real(algorithm, long_model, tmp_path / "run", pairs))
    report = json.loads((tmp_path / "run" / "train.json").read_text())
    assert report["finished"] is True
    assert report["data"]["pairs"] == report["data"]["prompts"] == 3
    assert report["data_hash"] == report["data"]["data_hash"]
    assert report["model"]["path"] == str(long_model)
    assert report["config"]["algorithm"] == algorithm
    assert (result.final / "model.safetensors").is_file()
    lines = read_log(tmp_path / "run" / "train.jsonl")
    assert [line["step"] for line in lines] == [1, 2]
    if algorithm == "sft":
        assert result.budgets["tokens_trained"] > 0
    else:
        assert 0 < lines[0]["rewards/format/mean"] < 1
        assert lines[0]["rewards/es_star/mean"] == -2.0


@pytest.mark.usefixtures("varied_form")
def test_evaluation_lies_on_the_same_axis(
    long_model: Path, tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Untrained, then every second step; in recode-eval's format; the training is not disturbed."""
    from tiny_training import weights_hash

    import recode_eval.sandbox
    import recode_eval.tasks.loading
    import recode_eval.tasks.registry

    original = recode_eval.tasks.registry.create_task
    test_rows = write_pairs(tmp_path / "test.jsonl", training_row(split="test"))

    def create(name: str, *more: Any) -> Any:
        task = original(name, *more)
        if name == "migration":
            load = task.load
            task.load = lambda source, **flags: load(source or str(test_rows), **flags)
        return task

    sandboxes: list[FakeSandbox] = []

    def open_router(*_: Any, **__: Any) -> FakeSandbox:
        sandboxes.append(FakeSandbox())
        return sandboxes[-1]

    plain = train(real("grpo", long_model, tmp_path / "plain", pairs, max_steps=4))
    monkeypatch.setattr(recode_eval.tasks.registry, "create_task", create)
    monkeypatch.setattr(recode_eval.tasks.loading, "create_task", create)
    monkeypatch.setattr(recode_eval.sandbox, "open_router", open_router)
    # The pairs are of the same program, as a program of the test split may not be trained on.
    monkeypatch.setattr("recode_train.data._tested", lambda *_: [])
    settings = real(
        "grpo", long_model, tmp_path / "run", pairs, max_steps=4,
        eval_steps=2, eval_tasks=("migration",), eval_limit=1,
    )  # fmt: skip
    result = train(settings)
    lines = [x for x in read_log(tmp_path / "run" / "train.jsonl") if "evaluation" in x]
    assert [line["step"] for line in lines] == [0, 2, 4]
    for line in lines:
        figures = line["evaluation"]["migration"]
        assert figures["pass@1"] == 0.0
        results = json.loads((Path(figures["folder"]) / "results.json").read_text())
        assert results["identity"]["model"]["step"] == line["step"]
        assert results["counts"]["scored"] == 1
        assert figures["prompt"] == results["prompt"]["name"] == "recode"  # as it is trained
    assert len({line["evaluation"]["migration"]["folder"] for line in lines}) == 3
    assert weights_hash(result.final) == weights_hash(plain.final)
    assert sandboxes
    assert all(sandbox.closed for sandbox in sandboxes)


def test_wrapped_model_gets_its_settings_back(long_model: Path) -> None:
    from transformers import AutoModelForCausalLM

    from recode_eval.models.base import Message, Prompt, Request, SamplingParameters
    from recode_eval.models.options import ModelOptions
    from recode_eval.models.transformers_model import TransformersModel

    model = AutoModelForCausalLM.from_pretrained(long_model)
    own = model.generation_config
    wrapped = TransformersModel.around(model, make_tokenizer(), name="m", identity={"step": 1})
    request = Request("p", Prompt((Message("user", "say"),)), (0, 1), (5, 6))
    sampling = SamplingParameters(max_tokens=6)
    texts = [c.text for c in wrapped.generate([request], sampling)]
    wrapped.close()
    assert model.generation_config is own
    assert wrapped.info.identity["step"] == 1
    loaded = TransformersModel(str(long_model), ModelOptions(dtype="float32"))
    assert texts == [c.text for c in loaded.generate([request], sampling)]


def test_log_has_finite_numbers_only(tmp_path: Path) -> None:
    from types import SimpleNamespace

    from recode_train.budget import Budget
    from recode_train.callbacks import Keeper

    keeper = Keeper(tmp_path, Budget(), {})
    state = SimpleNamespace(global_step=1, is_world_process_zero=True)
    keeper.on_log(None, state, None, {"loss": float("nan"), "grad_norm": float("inf"), "x": 1.0})
    (line,) = read_log(tmp_path / "train.jsonl")
    assert (line["loss"], line["grad_norm"], line["x"]) == (None, None, 1.0)


def test_torn_line_of_the_log_is_left_out(tmp_path: Path) -> None:
    append_log(tmp_path / "log", {"step": 1})
    with (tmp_path / "log").open("a") as file:
        file.write('{"step": 2, "lo')
    assert read_log(tmp_path / "log") == [{"step": 1}]


def test_progress_survives(tmp_path: Path) -> None:
    from recode_train.budget import Budget

    budget = Budget(tokens_generated=5, seconds=1.5)
    again = Budget.from_dict({**budget.as_dict(), "unknown": 1})
    assert again == budget


def refusal(settings: TrainConfig, kind: type[Exception], match: str, **stuff: Any) -> None:
    with pytest.raises(kind, match=match):
        start(settings, dataclasses.replace(training_data(NAMES, letters()), **stuff))
    assert not list(Path(settings.output).glob("checkpoint-*"))


def letters() -> Any:
    return letter_share(make_tokenizer())


def test_adapter_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    start(
        config("sft", tiny_model, tmp_path / "a", tuning="lora", lora_r=2, max_steps=1),
        training_data(NAMES, None),
    )
    adapter = tmp_path / "a" / "final"
    refusal(config("grpo", adapter, tmp_path / "b"), UsageError, "merge it into its base")
    description = json.loads((adapter / "adapter_config.json").read_text())
    description["base_model_name_or_path"] = "/no/such/base"
    (adapter / "adapter_config.json").write_text(json.dumps(description))
    refusal(
        config("grpo", adapter, tmp_path / "b"),
        UsageError,
        "base of the adapter .* cannot be found",
    )


def test_missing_weights_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    """Transformers goes on with random weights."""
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(tiny_model, broken)
    weights = load_file(broken / "model.safetensors")
    weights.pop("model.norm.weight")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    refusal(config("grpo", broken, tmp_path / "run"), UsageError, "lacks 1 weights")


def test_context_too_short(tiny_model: Path, tmp_path: Path) -> None:
    settings = config("grpo", tiny_model, tmp_path / "run", max_completion_length=128)
    refusal(settings, UsageError, "takes 128 tokens")


def test_no_space_for_checkpoints(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("recode_train.checkpoints.shutil.disk_usage", lambda _: usage)
    settings = config("grpo", tiny_model, tmp_path / "run", save_total_limit=3)
    refusal(settings, StorageError, "4 checkpoints .* take .* lower save_total_limit")


def test_folder_of_something_else_is_left_alone(tiny_model: Path, tmp_path: Path) -> None:
    """A folder named `final` or `checkpoint-7` that no run of ours made must not be removed."""
    (tmp_path / "run" / "final").mkdir(parents=True)
    (tmp_path / "run" / "final" / "thesis.txt").write_text("years of work")
    for resume in (True, False):
        with pytest.raises(UsageError, match="no run of recode-train"):
            start(
                config("sft", tiny_model, tmp_path / "run"),
                training_data(NAMES, None),
                resume=resume,
            )
    assert (tmp_path / "run" / "final" / "thesis.txt").is_file()


def test_evaluations_are_not_training_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Budgets are compared between algorithms; how often one was evaluated is another matter."""
    from recode_train.budget import Budget

    now = [100.0]
    monkeypatch.setattr("recode_train.budget.time.monotonic", lambda: now[0])
    budget = Budget()
    budget.tick()
    now[0] += 5
    budget.tick()
    now[0] += 70
    budget.skip()
    now[0] += 2
    budget.tick()
    assert budget.seconds == 7


def test_disk_full_in_the_middle(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library's own error becomes one that says what to do."""
    from transformers import Trainer

    def save_model(*_: Any, **__: Any) -> None:
        raise RuntimeError("Error while serializing: I/O error: No space left on device")

    monkeypatch.setattr(Trainer, "save_model", save_model)
    settings = config("grpo", tiny_model, tmp_path / "run")
    refusal(settings, StorageError, "continues from the last checkpoint")


def test_memory_gives_out(tiny_model: Path, tmp_path: Path) -> None:
    import torch

    def reward(**_: Any) -> list[float]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(InfrastructureError, match="per_device_train_batch_size"):
        start(config("grpo", tiny_model, tmp_path / "run"), training_data(NAMES, reward))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"adam_beta3": 1}, "adam_beta3.*Did you mean adam_beta"),
        ({"report_to": "none"}, "set report_to instead"),
        ({"do_eval": True}, "has no effect: use eval_steps"),
        ({"adam_beta2": 0.9, "lr_scheduler_kwargs": "{"}, "TRL refuses"),
    ],
)
def test_arguments_of_trl(
    tiny_model: Path, tmp_path: Path, arguments: dict[str, Any], match: str
) -> None:
    with pytest.raises(UsageError, match=match):
        start(
            config("grpo", tiny_model, tmp_path / "run", trainer_args=arguments),
            training_data(NAMES, letters()),
        )
    assert not (tmp_path / "run").exists()


def test_tokenizer_without_an_end(tiny_model: Path, tmp_path: Path) -> None:
    """Without an EOS token no completion would ever end."""
    from recode_train.trainers import loading

    endless = tmp_path / "endless"
    shutil.copytree(tiny_model, endless)
    file = endless / "tokenizer_config.json"
    content = json.loads(file.read_text())
    content.pop("eos_token")
    file.write_text(json.dumps(content))
    source = loading.find(config("grpo", endless, tmp_path / "run"))
    with pytest.raises(UsageError, match="no EOS token"):
        loading.tokenizer(source)


def test_tokenizer_makes_the_same_tokens_after_loading(tiny_model: Path, tmp_path: Path) -> None:
    """AutoTokenizer may put another pre-tokenizer beside a known architecture."""
    from recode_train.trainers import loading

    loaded = loading.tokenizer(loading.find(config("grpo", tiny_model, tmp_path / "run")))
    text = "  x = 'ä'\n\tdef  f(): ..."
    assert loaded(text)["input_ids"] == make_tokenizer()(text)["input_ids"]
    assert loaded.decode(loaded(text)["input_ids"]) == text


def test_other_number_of_processes(tiny_model: Path, tmp_path: Path) -> None:
    settings = config("grpo", tiny_model, tmp_path / "run", num_processes=2)
    with pytest.raises(UsageError, match="accelerate launch --num_processes 2"):
        train(settings)


def test_unknown_task_to_evaluate(tiny_model: Path, tmp_path: Path) -> None:
    settings = config("grpo", tiny_model, tmp_path / "run", eval_steps=1, eval_tasks=("migratin",))
    with pytest.raises(UsageError, match="Did you mean migration"):
        train(settings)


def test_pairs_too_few_for_a_generation(long_model: Path, tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "pairs.jsonl", training_row())
    with pytest.raises(UsageError, match="only 1"):
        train(real("grpo", long_model, tmp_path / "run", path))


def test_long_answers_are_left_out_and_counted(
    libraries: None, long_model: Path, tmp_path: Path
) -> None:
    from recode_train.data import load_pairs_of
    from recode_train.trainers import loading
    from recode_train.trainers.training_data import prepare

    long_code = "def shout(text):\n    return str.upper(text)\n" + "# more\n" * 200
    path = write_pairs(
        tmp_path / "pairs.jsonl",
        training_row(),
        training_row(id="string-long", new_code=long_code, apis=["numpy.long"]),
    )
    settings = real("sft", long_model, tmp_path / "run", path)
    tokenizer = loading.tokenizer(loading.find(settings))
    with contextlib.ExitStack() as closing:
        stuff = prepare(settings, load_pairs_of(settings), tokenizer)
        closing.enter_context(stuff.closing)
        assert stuff.provenance["overlong_completions"] == ["string-long"]
        assert [p.pair_id for p in stuff.prompts] == ["string-shout"]
    short = dataclasses.replace(settings, max_completion_length=20)
    with pytest.raises(UsageError, match="raise max_completion_length"):
        prepare(short, load_pairs_of(short), tokenizer)
