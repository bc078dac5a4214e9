"""Settings of training with tools and turns: plans, refusals, warnings, runs of older versions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from migration_rows import write_pairs
from tiny_tools import make_tool_tokenizer, save_tool_model, tool_config
from training_pairs import pair_set, training_row

from recode_eval.errors import ExitCode, UsageError
from recode_train import batch_math, cli, tool_calls
from recode_train.checkpoints import check_same_run
from recode_train.config import TrainConfig
from recode_train.data import load_pairs
from recode_train.memory_estimate import ModelShape, estimate_memory
from recode_train.prompts import prompt_template
from recode_train.rewards import build_rewards

if TYPE_CHECKING:
    from pathlib import Path

TWO_TESTS = (
    "def test_a():\n    assert shout('a') == 'A'\n\n\ndef test_b():\n    assert shout('b')\n"
)
NO_TOOLS = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}<|im_end|>{% endfor %}"
UNKNOWN_TO_TRL = (
    "{% for m in messages %}{{ m['role'] }} {{ m['name'] or '' }}: {{ m['content'] }}"
    "{% for c in m['tool_calls'] or [] %}{{ c['function'] | tojson }}{% endfor %}<|im_end|>"
    "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)


def config(algorithm: str = "grpo", *overrides: str, **options: Any) -> TrainConfig:
    return TrainConfig.from_sources(algorithm, overrides=overrides, **{"model": "m", **options})


def test_tools_and_turns_are_settings() -> None:
    made = config("grpo", "tools=run,read", "tool_calls=4", "turns=3", "rewards={tests: 1}")
    assert (made.tools, made.tool_calls, made.turns) == (("run", "read"), 4, 3)
    conversations = tool_calls.conversation_settings(made)
    assert conversations is not None
    assert (conversations.turns, conversations.tools) == (3, ("run", "read"))
    assert tool_calls.conversation_settings(config()) is None
    assert tool_calls.conversation_settings(config("sft", "tools=run")) is None


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["tools=runn"], ["tools", "run and read"]),
        (["tools=search"], ["tools", "run and read"]),
        (["turns=0"], ["turns", "[1, 20]"]),
        (["turns=21"], ["turns", "[1, 20]"]),
        (["tool_calls=0"], ["tool_calls", "at least 1"]),
        (["tool_seconds=0"], ["tool_seconds", "above 0"]),
        (["turns=2"], ["reward format", "rewards.format=0"]),
    ],
)
def test_bad_settings_are_named(overrides: list[str], parts: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        config("grpo", *overrides)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("algorithm", "overrides", "part"),
    [
        ("sft", ["tools=run"], "tools: without effect"),
        ("grpo", ["tool_calls=3"], "tool_calls: without effect"),
        ("grpo", ["tools=run", "rewards.overlong=1"], "overlong: it counts what tools told"),
        ("dapo", ["tools=run", "turns=3", "rewards.format=0"], "dynamic_sampling: little"),
        ("grpo", ["tools=run", "eval_tasks=arena-mini", "eval_steps=2"], "recode-eval --tools"),
    ],
)
def test_what_has_no_effect_is_said(algorithm: str, overrides: list[str], part: str) -> None:
    assert any(part in text for text in batch_math.warnings(config(algorithm, *overrides)))


def test_a_sandbox_for_tools_has_an_effect() -> None:
    words = ("grpo", "tools=run", "sandbox=landlock")
    assert not any("no program" in text for text in batch_math.warnings(config(*words)))
    assert any("no program" in text for text in batch_math.warnings(config(words[0], words[2])))


def test_a_run_of_an_older_version_goes_on(tmp_path: Path) -> None:
    """It names none of the new settings, and had what they now are by default."""
    before = config().as_dict()
    for name in ("tools", "tool_calls", "tool_seconds", "turns"):
        del before[name]
    stored = {"config": json.loads(json.dumps(before)), "data_hash": "x"}
    now = {"config": config().as_dict(), "data_hash": "x", "model": {"sha256": "a"}}
    check_same_run(tmp_path, stored, now)
    with pytest.raises(UsageError, match=r"another tools \(\[\] there, \['run'\] now\)"):
        check_same_run(tmp_path, stored, {**now, "config": config("grpo", "tools=run").as_dict()})


def test_processes_of_a_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each opened as many workers as there are cores. Without tools they share one sandbox."""
    from recode_train.trainers.training_data import sandbox_options

    tools = config("grpo", "tools=run")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert sandbox_options(tools).workers is None
    for processes, workers in (("1", None), ("3", 2), ("8", 1), ("16", 1), ("", None), ("x", None)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
        assert sandbox_options(tools).workers == workers
        assert sandbox_options(config()).workers is None
    assert sandbox_options(config("grpo", "sandbox_workers=5")).workers == 5


def test_a_cache_of_a_whole_completion_more() -> None:
    """TRL generates a whole completion behind the last result, and cuts it afterwards."""
    shape = ModelShape(1_000, 4, ((10, 20),), 10, 2, 10, 50)
    plain = estimate_memory(config(), shape, accelerator=False)
    tools = estimate_memory(config("grpo", "tools=run"), shape, accelerator=False)
    more = config().max_completion_length * 8 * 2 * 10 * 2 * 4  # x rows x layers x size x K, V x 4
    assert tools.generation - plain.generation == more
    assert (tools.backward, tools.weights) == (plain.backward, plain.weights)


def test_only_pairs_with_tests_have_turns(tmp_path: Path) -> None:
    """Nothing else could tell the model how its program fails."""
    settings = config("grpo", "turns=2", "rewards={em: 1, format: 0}")
    pairs = pair_set(tmp_path, training_row(tests=TWO_TESTS))
    made = tool_calls.open_workbench(settings, pairs, _never)
    assert made is not None
    assert [tool.name for tool in made.tools] == ["submit"]
    row = dict.fromkeys(("dependency", "new_version", "update_info", "old_code", "new_code"), "x")
    (tmp_path / "bare.jsonl").write_text(json.dumps(row) + "\n")
    bare = load_pairs(f"recode-train-data={tmp_path / 'bare.jsonl'}")
    with pytest.raises(UsageError, match="no tests"):
        tool_calls.open_workbench(settings, bare, _never)


def _never() -> Any:
    raise AssertionError


def test_rewards_judge_what_was_handed_in(tmp_path: Path) -> None:
    """All functions, and not what the model wrote beside it."""
    from types import SimpleNamespace

    row = training_row(tests=TWO_TESTS)
    pairs = pair_set(tmp_path, row)
    settings = config("grpo", "turns=2", "rewards={em: 1, format: 0}")
    rewards = build_rewards(settings.rewards, pairs, prefills={row["id"]: ""})
    em = rewards.functions[rewards.names.index("em")]
    sessions = [
        SimpleNamespace(session=SimpleNamespace(hands_in=True, answer=code))
        for code in (row["new_code"], None, "x = 1")
    ]
    written = [{"role": "assistant", "content": f"```python\n{row['new_code']}\n```"}]
    found = em(completions=[written] * 3, pair_id=[row["id"]] * 3, environments=sessions)
    assert found == [1.0, 0.0, 0.0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("template", "parts"),
    [
        (NO_TOOLS, ["tiny", "cannot show them", "Qwen3", "leave out turns and tools"]),
        ("", ["has no chat template"]),
        (UNKNOWN_TO_TRL, ["TRL does not know", "Qwen3"]),
    ],
)
def test_models_without_tool_calls_are_refused(
    libraries: None, template: str, parts: list[str]
) -> None:
    tokenizer = make_tool_tokenizer(template)
    if not template:
        tokenizer.chat_template = None
    with pytest.raises(UsageError) as caught:
        tool_calls.tool_template(tokenizer, "tiny")
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["qwen2_5", "qwen3", "llama3_1", "gptoss", "glm4moe"])
def test_models_that_the_refusal_names_are_taken(libraries: None, name: str) -> None:
    from trl import chat_template_utils

    tokenizer = make_tool_tokenizer(getattr(chat_template_utils, f"{name}_chat_template"))
    found = tool_calls.tool_template(tokenizer, "tiny")
    # Qwen3's rewrites earlier turns, so TRL's variant for training takes its place.
    assert (found is None) == (name != "qwen3")
    assert tokenizer.response_template is not None


@pytest.mark.slow
def test_a_plan_with_tools(
    libraries: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [training_row(id=f"p{n}", apis=[f"numpy.f{n}"], tests=TWO_TESTS) for n in range(4)]
    data = str(write_pairs(tmp_path / "pairs.jsonl", *rows))
    model = save_tool_model(tmp_path / "model")
    words = ["grpo", "--model", str(model), "--data", data, "--dry-run", "--set", "tuning=full"]
    words += ["--set", "rewards={tests: 1}", "--set", "max_prompt_length=9000"]
    assert cli.run([*words, "--json"]) == ExitCode.OK
    plain = json.loads(capsys.readouterr().out)["prompts"]
    words += ["--set", "tools=run,read", "--set", "turns=2"]
    assert cli.run([*words, "--json"]) == ExitCode.OK
    made = json.loads(capsys.readouterr().out)
    assert made["config"]["tools"] == ["run", "read"]
    # The schemas of three tools are in every prompt: one token per byte.
    assert made["prompts"]["longest"] > plain["longest"] + 1500
    assert cli.run(words) == ExitCode.OK
    told = " ".join(capsys.readouterr().out.split())
    assert "tools run, read (16 calls and 120 s at most); up to 2 programs by the tool" in told
    assert "1024 tokens, tools' results included" in told
    untaught = save_tool_model(tmp_path / "untaught", chat_template=NO_TOOLS)
    words[2] = str(untaught)
    assert cli.run(words) == ExitCode.USAGE
    assert "cannot show them" in capsys.readouterr().err


@pytest.mark.slow
def test_a_context_for_prompt_and_two_completions(
    libraries: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plan refuses what the run would."""
    from recode_train.trainers import loading

    model = save_tool_model(tmp_path / "model")  # 16,384 tokens
    settings = tool_config(model, tmp_path / "run", max_completion_length=8000)
    source = loading.find(settings)
    assert loading.model(source, settings, 384) is not None
    with pytest.raises(UsageError, match=r"twice with tools\) need 16385"):
        loading.model(source, settings, 385)
    rows = [training_row(id=f"p{n}", apis=[f"numpy.f{n}"], tests=TWO_TESTS) for n in range(2)]
    data = str(write_pairs(tmp_path / "pairs.jsonl", *rows))
    words = ["grpo", "--model", str(model), "--data", data, "--dry-run", "--set", "prompt=plain"]
    words += ["--set", "max_prompt_length=9000", "--set", "max_completion_length=9000"]
    assert cli.run(words) == ExitCode.OK
    assert cli.run([*words, "--set", "tools=run"]) == ExitCode.USAGE
    assert "The model takes 16384 tokens" in capsys.readouterr().err


@pytest.mark.slow
def test_prompts_are_counted_as_trl_renders_them(libraries: None, tmp_path: Path) -> None:
    pairs = pair_set(tmp_path, training_row(tests=TWO_TESTS))
    settings = config("grpo", "tools=run,read", "prompt=plain", "rewards={tests: 1}")
    workbench = tool_calls.open_workbench(settings, pairs, _never)
    assert workbench is not None
    tokenizer = make_tool_tokenizer()
    arguments: dict[str, Any] = {
        "template": prompt_template(pairs, "plain"),
        "chat_template": tool_calls.tool_template(tokenizer, "tiny"),
        "more": {},
    }
    [prompt], left_out = tool_calls.render_chats(
        pairs, tokenizer, workbench, max_tokens=100_000, **arguments
    )
    assert left_out == []
    text = tokenizer.decode(prompt.token_ids)
    assert '"name": "run"' in text
    assert '"name": "read"' in text
    assert prompt.messages[-1]["content"] in text
    assert text.endswith("<|im_start|>assistant\n")
    arguments["more"] = {"enable_thinking": False}
    [brief], _ = tool_calls.render_chats(
        pairs, tokenizer, workbench, max_tokens=100_000, **arguments
    )
    assert tokenizer.decode(brief.token_ids) == text + "<think>\n\n</think>\n\n"
    arguments["more"] = {}
    length = len(prompt.token_ids)
    with pytest.raises(UsageError, match=f"the shortest of 1 has {length} tokens"):
        tool_calls.render_chats(pairs, tokenizer, workbench, max_tokens=length - 1, **arguments)
