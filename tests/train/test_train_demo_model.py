"""The demonstration's tokenizer and model: nothing is lost between text, ids and stored files."""

import random
import shlex

import pytest

from recode_eval.scoring.extraction import extract
from recode_train.data import load_pairs
from recode_train.demo import rows
from recode_train.demo.making import LONGEST_ANSWER, PROMPT, write_pairs
from recode_train.prompts import render, sft_completion

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("libraries")]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    file = write_pairs(tmp_path_factory.mktemp("demo") / "pairs.jsonl", 70, 4)
    return load_pairs(f"recode-train-data={file}")


@pytest.fixture(scope="module")
def tokenizer():
    from recode_train.demo.tokenizer import make_tokenizer

    return make_tokenizer()


@pytest.fixture(scope="module")
def prompts(pairs, tokenizer):
    from recode_eval.run.prompts import PromptTemplate

    found, overlong = render(
        pairs, tokenizer, template=PromptTemplate.from_file(PROMPT), max_tokens=128
    )
    assert overlong == []
    return found


def test_prompts_and_answers_come_back_from_their_ids(pairs, tokenizer, prompts):
    for pair, prompt in zip(pairs.pairs, prompts, strict=True):
        answer = sft_completion(pair, prompt.prefill)
        whole = tokenizer(prompt.text + answer)["input_ids"]
        assert tokenizer.decode(whole) == prompt.text + answer
        assert tokenizer.unk_token_id not in whole
        # Prompt and answer are tokenised apart, and no token may span the seam.
        assert whole == [*prompt.token_ids, *tokenizer(answer)["input_ids"]]
        assert len(whole) - len(prompt.token_ids) < LONGEST_ANSWER


def test_a_name_has_the_same_tokens_wherever_it_stands(tokenizer):
    name = next(iter(rows.make_rows(1, 1, rows.TEST)))["dependency"]
    ids = tokenizer(name)["input_ids"]
    assert len(ids) == 2
    for text in (f" {name}", f".{name}(", f"={name}", f"{name}."):
        assert str(ids)[1:-1] in str(tokenizer(text)["input_ids"])


def test_a_stored_tokenizer_is_loaded_as_it_was(tokenizer, prompts, tmp_path):
    """Beside a model of the type qwen2, transformers 5 loads any tokenizer with that of Qwen2.

    Its pre-tokenizer takes the place of ours, words are gone without a word, and every answer of a
    well-trained model is wrong.
    """
    from recode_eval.models.checkpoint import resolve_checkpoint
    from recode_eval.models.loading import load_tokenizer
    from recode_eval.models.options import ModelOptions
    from recode_train.demo.warm_start import Shape, make_model

    make_model(tokenizer, Shape(hidden=32, inner=32, layers=1, heads=2), 0).save_pretrained(
        tmp_path
    )
    tokenizer.save_pretrained(tmp_path)
    options = ModelOptions()
    loaded = load_tokenizer(resolve_checkpoint(str(tmp_path), options), options)
    for prompt in prompts:
        assert tuple(loaded(prompt.text)["input_ids"]) == prompt.token_ids


def test_the_start_is_shown_right_stale_and_unreadable_answers(pairs):
    from recode_train.demo.warm_start import WarmStart, answer

    pair = pairs.pairs[0]
    settings = WarmStart(stale=0.3, malformed=0.2)
    rng = random.Random(1)
    texts = [answer(pair, sft_completion(pair, "<think>"), settings, rng) for _ in range(2000)]
    codes = [extract(text, prefill="<think>").code for text in texts]
    right, stale = pair.problem.solutions["reference"], pair.problem.solutions["stale"]
    shares = {
        "right": sum(code == right.strip() for code in codes) / len(codes),
        "stale": sum(code == stale.strip() for code in codes) / len(codes),
    }
    assert shares == pytest.approx({"right": 0.5, "stale": 0.3}, abs=0.05)


def test_the_same_seed_makes_the_same_model_and_teaching_lowers_the_loss(tmp_path):
    from tiny_training import weights_hash

    from recode_train.demo.making import make_start
    from recode_train.demo.warm_start import Shape, WarmStart

    file = write_pairs(tmp_path / "pairs.jsonl", 40, 4)
    shape = Shape(hidden=32, inner=32, layers=1, heads=2)
    losses: list[float] = []
    folders = [
        make_start(
            tmp_path / name, file, shape, WarmStart(steps=12, batch=8, warm_up=2, seed=seed),
            lambda _, loss: losses.append(loss),
        )
        for name, seed in (("one", 1), ("two", 1), ("three", 2))
    ]  # fmt: skip
    one, two, three = map(weights_hash, folders)
    assert one == two != three
    assert losses[11] < losses[0] - 0.5


def test_the_command_makes_the_files_and_says_how_to_go_on(tmp_path, capsys):
    from recode_train.commands.demo import run

    folder = tmp_path / "a demo"
    words = [str(folder), "--steps", "1", "--pairs", "8", "--problems", "3", "--kinds", "moved"]
    assert run([*words, "--make-only"]) == 0
    assert {path.name for path in folder.iterdir()} == {
        "taught.jsonl", "pairs.jsonl", "problems.jsonl", "start",
    }  # fmt: skip
    assert len((folder / "problems.jsonl").read_text().splitlines()) == 3
    training, evaluation = capsys.readouterr().out.splitlines()
    assert _dry_run(training) == 0
    assert evaluation.startswith("recode-eval --model '")


def _dry_run(command: str) -> int:
    """Say whether the trainer would take a printed command."""
    from recode_train.cli import run

    return run([*shlex.split(command)[1:], "--dry-run"])


def test_an_unknown_kind_is_refused_with_those_that_there_are(tmp_path, capsys):
    from recode_train.commands.demo import run

    with pytest.raises(SystemExit) as end:
        run([str(tmp_path / "demo"), "--kinds", "moved,removed"])
    assert end.value.code == 2
    assert "unknown kind removed; use any of argument-renamed" in capsys.readouterr().err
