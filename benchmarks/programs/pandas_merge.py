import pandas as pd

CUSTOMERS = 30  # 10..400
ORDERS = 90  # 30..1500

# %% candidate
def report(customers, orders):
    """Return every customer with number and sum of orders, the best first, ties by name."""
    totals = orders.groupby("customer")["value"].agg(["size", "sum"]).reset_index()
    table = customers.merge(totals, how="left", left_on="id", right_on="customer")  # wrong: table = customers.merge(totals, how="inner", left_on="id", right_on="customer")
    table = table.drop(columns="customer").fillna({"size": 0, "sum": 0})
    table["size"] = table["size"].astype(int)
    return table.sort_values(["sum", "name"], ascending=[False, True], ignore_index=True)


def tables(customers, orders):
    return (
        pd.DataFrame({"id": range(customers), "name": [f"c{i:04}" for i in range(customers)]}),
        pd.DataFrame(
            {"customer": [i * i % (customers - 1) for i in range(orders)], "value": range(orders)}
        ),
    )


# %% test
def test_sums():
    result = report(*tables(CUSTOMERS, ORDERS))
    assert result["sum"].sum() == ORDERS * (ORDERS - 1) // 2
    assert result["size"].sum() == ORDERS

# %% test (fails when wrong)
def test_nobody_is_lost():
    result = report(*tables(CUSTOMERS, ORDERS))
    assert sorted(result["id"]) == list(range(CUSTOMERS))

# %% test
def test_sorted():
    result = report(*tables(CUSTOMERS, ORDERS))
    assert result["sum"].is_monotonic_decreasing
    assert list(result.columns) == ["id", "name", "size", "sum"]

# %% test
def test_inputs():
    customers, orders = tables(CUSTOMERS, ORDERS)
    assert customers.shape == (CUSTOMERS, 2)
    assert orders["customer"].max() < CUSTOMERS - 1
