"""Turn recorded answers into what SFT and DPO learn: texts, or pairs of texts, of each prompt."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from recode_train import recorded as records
from recode_train.stopping import BarrenError

if TYPE_CHECKING:
    from recode_eval.tasks.base import Task
    from recode_train.config import TrainConfig
    from recode_train.data import PairSet
    from recode_train.recorded import Answer, Recorded
    from recode_train.trainers.training_data import TrainingData


def read(config: TrainConfig, place: str, data: TrainingData) -> Recorded:
    """Read a run's answers to the prompts of `data`; errors as `recorded.read_recorded`."""
    pairs = pairs_of(data)
    return records.read_recorded(
        place,
        pairs,
        {prompt.pair_id: prompt.prefill for prompt in data.prompts},
        records.keep_rule(config, pairs.task_object),
        skip_copies=config.skip_bad_rows,
    )


def learnt(config: TrainConfig, found: Recorded, data: TrainingData) -> TrainingData:
    """Return the data with the good answers, or the pairs of answers, as what is learnt.

    Raises:
        BarrenError: nothing is left to learn from.
    """
    fitting = _short_enough(config, found, data)
    used, pairs = choose(config, fitting, pairs_of(data).task_object)
    more: dict[str, Any]
    if config.method.compares:
        preferences: dict[str, list[tuple[str, str]]] = {}
        for good, bad in pairs:
            preferences.setdefault(good.pair_id, []).append((good.text, bad.text))
        more = {"preferences": preferences}
    else:
        texts: dict[str, list[str]] = {}
        for answer in used.answers:
            texts.setdefault(answer.pair_id, []).append(answer.text)
        more = {"completions": texts}
    ids = {answer.pair_id for answer in used.answers}
    said = used.as_dict()
    return replace(
        data,
        prompts=[prompt for prompt in data.prompts if prompt.pair_id in ids],
        provenance={**data.provenance, "answers": said, "answers_hash": said["content_hash"]},
        **more,
    )


def choose(
    config: TrainConfig, found: Recorded, task: Task
) -> tuple[Recorded, list[tuple[Answer, Answer]]]:
    """Return the answers that are learnt, and for DPO the pairs of a good and a bad one.

    Raises:
        BarrenError: there is none.
    """
    pairs: list[tuple[Answer, Answer]] = []
    most = config.completions_per_problem
    if config.method.compares:
        used, pairs = records.to_prefer(found, most)
    else:
        used = records.to_learn(found, most)
    if used.answers:
        return used, pairs
    what = (
        "No prompt has both a good and a bad answer"
        if config.method.compares
        else "No answer is good"
    )
    raise BarrenError(
        f"{what} (good: {records.keep_rule(config, task)}), so there is nothing to learn. "
        f"{used.source}: {used}. Sample more answers, lower the bar (keep_reward, keep_at_least), "
        "or start from a better model."
    )


def pairs_of(data: TrainingData) -> PairSet:
    """Return the pairs that the data was made of."""
    if data.pairs is None:
        raise RuntimeError("answers belong to pairs, and this data has none")
    return data.pairs


def _short_enough(config: TrainConfig, found: Recorded, data: TrainingData) -> Recorded:
    kept = []
    for answer in found.answers:
        # One more for the EOS token.
        length = len(data.tokenizer(answer.text, add_special_tokens=False)["input_ids"]) + 1
        if length <= config.max_completion_length:
            kept.append(answer)
    long = len(found.answers) - len(kept)
    return found.without(Counter({records.TOO_LONG: long} if long else {}), tuple(kept))
