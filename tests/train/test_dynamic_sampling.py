"""Parts of dynamic sampling by themselves: flat groups, refills, taking apart and padding."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_train.trainers.dynamic_sampling import groups_to_draw, to_batch, to_rows
from recode_train.trainers.ordering import PromptStream
from recode_train.trainers.recording import blank_holes, flat_groups

NAN = math.nan


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[1, 0], [1, 0]], True),
        ([[1, 0], [2, 0]], False),
        # The second function is the overlong penalty: it does not decide.
        ([[1, 0], [1, -1]], True),
        # Differences of rounding are none.
        ([[1, 0], [1 + 1e-8, 0]], True),
        # One completion alone has nothing to be compared with; NaN: it could not be scored.
        ([[1, 0], [NAN, 0]], True),
        ([[NAN, 0], [NAN, -1]], True),
    ],
)
def test_flat_groups(libraries: None, rows: list[list[float]], expected: bool) -> None:
    import torch

    assert flat_groups(torch.tensor(rows, dtype=torch.float64), [1, 1], [True, False], 2) == [
        expected
    ]


@pytest.mark.slow
def test_flat_is_the_weighted_sum(libraries: None) -> None:
    """Two rewards that cancel each other make a flat group, as the advantages are of the sum."""
    import torch

    rewards = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    assert flat_groups(rewards, [1, 1], [True, True], 2) == [True, True]
    assert flat_groups(rewards, [1, 2], [True, True], 2) == [False, False]
    assert flat_groups(rewards, [1, 2], [True, True], 4) == [False]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        # Four equal passes, two of them in a process whose worker died: they had +-0.87.
        (
            [[1, NAN], [1, NAN], [1, 1], [1, 1]],
            [[1, NAN], [1, NAN], [1, NAN], [1, NAN]],
        ),
        # Nothing is known of the first: it leaves its group, which keeps both functions.
        ([[NAN, NAN], [1, 0], [2, 1], [3, 1]], [[NAN, NAN], [1, 0], [2, 1], [3, 1]]),
        ([[NAN, NAN], [1, NAN], [2, 1], [3, 1]], [[NAN, NAN], [1, NAN], [2, NAN], [3, NAN]]),
        ([[NAN, 1], [1, NAN], [2, 1], [3, 1]], [[NAN, NAN]] * 4),
        ([[1, 2], [3, 4], [5, 6], [7, 8]], [[1, 2], [3, 4], [5, 6], [7, 8]]),
        # One function alone: no sum is smaller for a hole.
        ([[1], [NAN], [0], [1]], [[1], [NAN], [0], [1]]),
    ],
)
def test_a_function_counts_for_all_of_a_group_or_none(
    libraries: None, rows: list[list[float]], expected: list[list[float]]
) -> None:
    import torch

    other = [[5.0 + at] * len(rows[0]) for at in range(4)]
    found = blank_holes(torch.tensor(rows + other, dtype=torch.float32), [1.0] * len(rows[0]), 4)
    assert torch.equal(found.isnan(), torch.tensor(expected + other).isnan())
    assert torch.equal(found.nan_to_num(-9), torch.tensor(expected + other).nan_to_num(-9))


@pytest.mark.slow
def test_a_function_of_weight_0_decides_nothing(libraries: None) -> None:
    """A completion without a verdict of the only function with a weight has no reward at all."""
    import torch

    rows = torch.tensor([[1, 7], [NAN, 7], [0, NAN], [1, 7]], dtype=torch.float32)
    found = blank_holes(rows, [1.0, 0.0], 4)
    alone = blank_holes(rows[:, :1], [1.0], 4)
    assert torch.equal(found[:, 0].nan_to_num(-9), alone[:, 0].nan_to_num(-9))
    assert found[1].isnan().all()
    assert found[:, 1].isnan().all()  # its own hole blanks it for the group


@given(st.integers(1, 40), st.integers(2, 16), st.integers(1, 12))
def test_groups_to_draw(missing: int, size: int, processes: int) -> None:
    drawn = groups_to_draw(missing, size, processes)
    assert drawn >= missing
    assert drawn * size % processes == 0
    assert not any(n * size % processes == 0 for n in range(missing, drawn))


@given(st.integers(1, 12), st.lists(st.integers(1, 9), min_size=1, max_size=6), st.data())
def test_stream_goes_on_at_its_cursor(count: int, takes: list[int], data: st.DataObject) -> None:
    """The cursor is the whole state: a stream that begins there gives the same."""
    stream = PromptStream(count, "seed")
    for wanted in takes:
        avoid = data.draw(st.sets(st.integers(0, count - 1)))
        other = PromptStream(count, "seed", stream.cursor)
        taken = stream.take(wanted, avoid)
        assert taken == other.take(wanted, avoid)
        assert stream.cursor == other.cursor
        assert len(taken) == wanted
        others = set(range(count)) - avoid
        first = taken[: len(others)]
        assert set(first) <= others
        assert len(set(first)) == len(first)


def test_stream_without_any_other_prompt_gives_what_there_is() -> None:
    """Avoiding every prompt must not search for ever."""
    assert PromptStream(2, "seed").take(3, {0, 1}) != []


@pytest.mark.slow
def test_rows_and_batch(libraries: None) -> None:
    """What is taken apart and padded again, to another width, has the same content."""
    import torch

    batch = {
        "prompt_ids": torch.tensor([[0, 0, 5, 6], [7, 8, 9, 9]]),
        "prompt_mask": torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]]),
        "completion_ids": torch.tensor([[3, 4, 0], [5, 0, 0]]),
        "completion_mask": torch.tensor([[1, 1, 0], [1, 0, 0]]),
        "old_per_token_logps": torch.tensor([[-1.0, -2.0, -9.0], [-3.0, -9.0, -9.0]]),
        "importance_sampling_ratio": torch.tensor([[0.5], [0.25]]),
        "advantages": torch.tensor([1.0, -1.0]),
        "num_items_in_batch": torch.tensor(3),
    }
    rows = to_rows(batch)
    assert rows[0]["prompt_ids"].tolist() == [5, 6]
    assert rows[1]["completion_ids"].tolist() == [5]
    again = to_batch(rows, 0, None, "cpu")
    assert again["prompt_ids"].tolist() == batch["prompt_ids"].tolist()
    assert again["completion_mask"].tolist() == [[1, 1], [1, 0]]
    assert again["old_per_token_logps"].tolist() == [[-1.0, -2.0], [-3.0, 0.0]]
    assert again["importance_sampling_ratio"].tolist() == [[0.5], [0.25]]
    assert again["advantages"].tolist() == [1.0, -1.0]
    single = to_batch(rows[:1], 0, 4, "cpu")
    assert single["prompt_ids"].tolist() == [[0, 0, 5, 6]]
    assert single["completion_mask"].tolist() == [[1, 1, 0, 0]]


@pytest.mark.slow
def test_completion_out_of_the_loss_keeps_its_tokens(libraries: None) -> None:
    """mask_truncated_completions clears the mask of a cut completion, not its tokens."""
    import torch

    batch = {
        "prompt_ids": torch.tensor([[1]]),
        "prompt_mask": torch.tensor([[1]]),
        "completion_ids": torch.tensor([[3, 4]]),
        "completion_mask": torch.tensor([[0, 0]]),
        "advantages": torch.tensor([1.0]),
    }
    (row,) = to_rows(batch)
    assert row["completion_ids"].tolist() == [3, 4]
    assert row["completion_mask"].tolist() == [0, 0]


@pytest.mark.slow
def test_unknown_part_of_a_batch_is_an_error(libraries: None) -> None:
    """A new tensor of TRL must not be lost when a batch is put together again."""
    import torch

    with pytest.raises(RuntimeError, match="novelty"):
        to_rows({"advantages": torch.zeros(1), "novelty": torch.zeros(1)})


@pytest.mark.slow
def test_batches_of_trl_have_known_parts(tiny_model: Path, tmp_path: Path) -> None:
    """With a KL penalty and two updates per generation, every optional part there is."""
    from test_dapo import varied_by_place
    from tiny_training import config, flat_for, start, training_data

    stuff = training_data(["flat0", "flat1", "a", "b", "c"], flat_for("flat", varied_by_place))
    settings = config(
        "dapo", tiny_model, tmp_path / "run", beta=0.01, mask_truncated_completions=True
    )
    result = start(settings, stuff)
    assert result.budgets["groups_flat"] > 0
