import numpy as np
import pandas as pd

ROWS = 120  # 40..3000
SHOPS = 4  # 2..12

# %% candidate
def shares(sales):
    """Return per shop the share of each product in the shop's turnover, products as columns."""
    sales = sales.assign(turnover=sales.price * sales.amount)  # wrong: sales = sales.assign(turnover=sales.price)
    table = sales.groupby(["shop", "product"])["turnover"].sum().unstack(fill_value=0.0)
    return table.div(table.sum(axis=1), axis=0)


def sales(rows, shops):
    number = np.arange(rows)
    return pd.DataFrame(
        {
            "shop": number % shops,
            "product": np.array(["a", "b", "c"])[number % 3],
            "price": 1.0 + number % 5,
            "amount": 1 + number % 7,
        }
    )


# %% test
def test_sums():
    assert np.allclose(shares(sales(ROWS, SHOPS)).sum(axis=1), 1.0)

# %% test (fails when wrong)
def test_two_rows():
    frame = pd.DataFrame(
        {"shop": [1, 1], "product": ["a", "b"], "price": [2.0, 2.0], "amount": [1, SHOPS + 1]}
    )
    assert abs(shares(frame).loc[1, "a"] - 1 / (SHOPS + 2)) < 1e-12

# %% test
def test_missing_product():
    frame = sales(ROWS, SHOPS)
    frame = frame[(frame.shop != 0) | (frame["product"] == "a")]
    assert shares(frame).loc[0].to_dict() == {"a": 1.0, "b": 0.0, "c": 0.0}

# %% test
def test_index():
    assert list(shares(sales(ROWS, SHOPS)).index) == list(range(SHOPS))
