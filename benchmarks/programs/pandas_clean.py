import pandas as pd

ROWS = 60  # 12..2000
EVERY = 5  # 2..9

# %% candidate
def cleaned(values):
    """Strip the text of a series, turn what is empty or "n/a" into missing, and the rest to numbers."""
    text = values.str.strip().str.lower()
    return pd.to_numeric(text.mask(text.isin(["", "n/a"])))  # wrong: return pd.to_numeric(text.mask(text.isin(["n/a"])), errors="coerce").fillna(0)


def raw(rows, every):
    return pd.Series([" N/A " if i % every == 0 else f" {i}.5" for i in range(rows)])


# %% test (fails when wrong)
def test_missing():
    assert cleaned(raw(ROWS, EVERY)).isna().sum() == len(range(0, ROWS, EVERY))

# %% test
def test_values():
    result = cleaned(raw(ROWS, EVERY))
    assert result.iloc[1] == 1.5

# %% test
def test_index():
    assert cleaned(pd.Series(["1", "2"], index=["a", "b"])).to_dict() == {"a": 1.0, "b": 2.0}

# %% test (fails when wrong)
def test_all_empty():
    assert cleaned(pd.Series(["", " ", "n/a"] * EVERY)).isna().all()
