from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.errors import DataError, StorageError
from recode_eval.run.record_index import Samples
from recode_eval.run.records import CompletionRecord
from recode_eval.run.store import COMPLETIONS, RunStore


def record(problem: str, sample: int, text: str = "x") -> CompletionRecord:
    return CompletionRecord(problem, sample, 1, "h", text, "stop")


KEYS = st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 5))


@given(st.lists(st.tuples(st.sampled_from(["note", "drop"]), KEYS, st.text(max_size=5))))
def test_it_is_the_mapping_that_a_dict_would_be(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, tuple[str, int], str]]
) -> None:
    expected: dict[tuple[str, int], CompletionRecord] = {}
    folder = tmp_path_factory.mktemp("run")
    with RunStore(folder) as store:
        samples = Samples(folder / COMPLETIONS, CompletionRecord)
        for step, key, text in steps:
            if step == "note":
                expected[key] = record(*key, text)
                samples.note(key, store.add_completion(expected[key]))
            else:
                assert (samples.pop(key, None) is None) == (expected.pop(key, None) is None)
            assert dict(samples) == expected
            assert len(samples) == len(expected)
        assert [key in samples for key in [("a", 0), ("z", 0), ("a", 99), ("a", -1)]] == [
            ("a", 0) in expected, False, False, False,
        ]  # fmt: skip


def test_what_is_read_again_is_what_was_noted(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        for number in range(3):
            store.add_completion(record("é\x00\ud800", number, "ü" * number))
    with RunStore(tmp_path) as store:
        found = store.completions(lambda item: item.sample != 1)
        assert [item.text for item in found.values()] == ["", "üü"]


def test_nothing_is_stored_by_assignment(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="append"):
        Samples(tmp_path / COMPLETIONS, CompletionRecord)["a", 0] = record("a", 0)


@pytest.mark.parametrize("change", ["other", "garbage", "gone", "nested"])
def test_a_file_that_changes_meanwhile_is_named(tmp_path: Path, change: str) -> None:
    """A record that is read late could be another sample's: it must not count as this one's."""
    path = tmp_path / COMPLETIONS
    with RunStore(tmp_path) as store:
        samples = Samples(path, CompletionRecord)
        samples.note(("a", 0), store.add_completion(record("a", 0)))
    if change == "gone":
        path.unlink()
        with pytest.raises(StorageError, match=COMPLETIONS):
            samples["a", 0]
        return
    texts = {"other": json.dumps(record("a", 1).to_json()), "garbage": "{", "nested": "[" * 10_000}
    path.write_text(texts[change] + "\n")
    with pytest.raises(DataError, match=COMPLETIONS):
        samples["a", 0]
