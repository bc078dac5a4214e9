"""Make what the demonstration needs in one folder: training pairs, held-out problems, a model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import StorageError
from recode_train.demo import rows

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from recode_train.demo.warm_start import Shape, WarmStart

TASK_FOLDER: Final = Path(__file__).parent / "task"
TASK: Final = "template-migration"
PROMPT: Final = TASK_FOLDER / "short.jinja2"
"""The prompt of training and evaluation."""
LONGEST_ANSWER: Final = 112
"""Tokens; the longest perfect answer has 104."""
_LONGEST_PROMPT: Final = 128
_TAUGHT: Final = 2100
"""Pairs that the start is taught on."""
_PAIR_FIELDS: Final = ("dependency", "new_version", "update_info", "old_code", "new_code")


def write_pairs(file: Path, count: int, seed: int, kinds: Sequence[str] = rows.KINDS) -> Path:
    """Write training pairs in the schema of `recode-train-data`, with names of the training."""
    made = rows.make_rows(count, seed, rows.TRAIN, kinds)
    return _write(file, ({name: row[name] for name in _PAIR_FIELDS} for row in made))


def write_problems(
    file: Path, count: int, seed: int, kinds: Sequence[str] = rows.KINDS, split: str = rows.TEST
) -> Path:
    """Write problems of the task `template-migration`; no name of theirs is one of training."""
    return _write(file, rows.make_rows(count, seed, split, kinds))


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """The files that `write_files` wrote."""

    taught: Path
    """What the start is taught on."""
    pairs: Path
    """What the arms are trained on: other pairs, of the same names."""
    problems: Path
    """What they are measured on."""


def write_files(
    folder: Path, pairs: int, problems: int, kinds: Sequence[str] = rows.KINDS
) -> DemoFiles:
    """Write all data into `folder`, which is made; raises `StorageError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return DemoFiles(
            write_pairs(folder / "taught.jsonl", _TAUGHT, 1, kinds),
            write_pairs(folder / "pairs.jsonl", pairs, 2, kinds),
            write_problems(folder / "problems.jsonl", problems, 3, kinds),
        )
    except OSError as error:
        raise StorageError(f"Cannot write to {folder}: {error.strerror or error}.") from error


def make_start(
    folder: Path,
    pairs_file: Path,
    shape: Shape,
    settings: WarmStart,
    report: Callable[[int, float], None],
) -> Path:
    """Write the model that all arms start from, taught on `pairs_file`, and its tokenizer.

    The same arguments give the same weights on the same machine and number of threads.
    """
    from recode_train.demo import warm_start
    from recode_train.demo.tokenizer import make_tokenizer

    tokenizer = make_tokenizer()
    model = warm_start.make_model(tokenizer, shape, settings.seed)
    examples = _examples(pairs_file, tokenizer, settings)
    warm_start.teach(model, examples, settings, tokenizer.pad_token_id, report)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _examples(
    pairs_file: Path, tokenizer: Any, settings: WarmStart
) -> Callable[[random.Random], list[list[int]]]:
    from recode_eval.run.prompts import PromptTemplate
    from recode_train.data import load_pairs
    from recode_train.demo.warm_start import answer
    from recode_train.prompts import render, sft_completion

    pairs = load_pairs(f"recode-train-data={pairs_file}")
    template = PromptTemplate.from_file(PROMPT)
    prompts, _ = render(pairs, tokenizer, template=template, max_tokens=_LONGEST_PROMPT)
    by_id = {pair.id: pair for pair in pairs.pairs}
    known = [
        (by_id[p.pair_id], p.token_ids, sft_completion(by_id[p.pair_id], p.prefill))
        for p in prompts
    ]

    def examples(rng: random.Random) -> list[list[int]]:
        made = []
        for pair, prompt, perfect in rng.sample(known, settings.batch):
            text = answer(pair, perfect, settings, rng)
            made.append([*prompt, *tokenizer(text)["input_ids"], tokenizer.eos_token_id])
        return made

    return examples


def _write(file: Path, content: Iterable[Mapping[str, Any]]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in content)
    file.write_text(text, encoding="utf-8")
    return file
