import numpy as np
import pandas as pd

HOURS = 100  # 48..900
GAP = 5  # 2..11

# %% candidate
def daily(readings):
    """Return mean and number of valid readings per day; gaps of one hour are interpolated."""
    series = readings.asfreq("h")
    filled = series.interpolate(limit=1)
    groups = filled.resample("D")
    return pd.DataFrame({"mean": groups.mean(), "valid": groups.count()})  # wrong: return pd.DataFrame({"mean": groups.mean(), "valid": groups.size()})


def readings(hours):
    index = pd.date_range("2023-03-01", periods=hours, freq="h")
    return pd.Series(np.arange(float(hours)), index=index)


# %% test
def test_complete():
    result = daily(readings(HOURS))
    assert result["valid"].sum() == HOURS
    assert result["mean"].iloc[0] == 11.5

# %% test
def test_single_gaps():
    values = readings(HOURS)
    thin = values.drop(values.index[1:-1:GAP])
    pd.testing.assert_frame_equal(daily(thin), daily(values), check_freq=False)

# %% test (fails when wrong)
def test_long_gap():
    values = readings(HOURS)
    result = daily(values.drop(values.index[3:8]))
    assert result["valid"].iloc[0] == 20

# %% test
def test_days():
    assert len(daily(readings(HOURS))) == -(-HOURS // 24)
