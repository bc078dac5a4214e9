import calendar
from datetime import date, timedelta

YEAR = 2021  # 1990..2060
DAYS = 400  # 100..3000

# %% candidate
def working_days(first, last, holidays=()):
    """Count Monday to Friday from `first` to `last`, both included, without holidays."""
    days = (last - first).days + 1
    weeks, rest = divmod(max(0, days), 7)
    count = 5 * weeks
    count += sum((first + timedelta(i)).weekday() < 5 for i in range(rest))
    return count - sum(first <= day <= last and day.weekday() < 5 for day in set(holidays))  # wrong: return count - sum(first <= day <= last for day in set(holidays))


# %% test
def test_one_by_one():
    first = date(YEAR, 3, 1)
    last = first + timedelta(DAYS)
    expected = sum((first + timedelta(i)).weekday() < 5 for i in range(DAYS + 1))
    assert working_days(first, last) == expected

# %% test (fails when wrong)
def test_holidays_on_weekends():
    first, last = date(YEAR, 1, 1), date(YEAR, 12, 31)
    sundays = [first + timedelta(i) for i in range(365) if (first + timedelta(i)).weekday() == 6]
    assert working_days(first, last, sundays) == working_days(first, last)

# %% test
def test_empty():
    assert working_days(date(YEAR, 5, 2), date(YEAR, 5, 1)) == 0

# %% test
def test_month():
    month = calendar.Calendar().itermonthdates(YEAR, 6)
    days = [day for day in month if day.month == 6]
    assert working_days(days[0], days[-1]) == sum(day.weekday() < 5 for day in days)
