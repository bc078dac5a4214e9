import difflib
import functools
import random
import string

LENGTH = 30  # 10..120

# %% candidate
def distance(left, right):
    """Return the Levenshtein distance."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        above, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (a != b))  # wrong: above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + 2 * (a != b))
    return row[-1]


def word(seed, length):
    return "".join(random.Random(seed).choices(string.ascii_lowercase[:5], k=length))


# %% test (fails when wrong)
def test_substitution():
    text = word(1, LENGTH)
    assert distance(text, "Z" + text[1:]) == 1

# %% test
def test_same():
    assert distance(word(LENGTH, LENGTH), word(LENGTH, LENGTH)) == 0

# %% test
def test_symmetric():
    a, b = word(2, LENGTH), word(3, LENGTH + 5)
    assert distance(a, b) == distance(b, a) >= 5
    assert 0 <= difflib.SequenceMatcher(None, a, b).ratio() <= 1

# %% test (fails when wrong)
def test_by_recursion():
    @functools.cache
    def slow(a, b):
        if not a or not b:
            return len(a) + len(b)
        return min(slow(a[1:], b) + 1, slow(a, b[1:]) + 1, slow(a[1:], b[1:]) + (a[0] != b[0]))

    a, b = "xa" + word(4, 7), "yb" + word(4, 7)
    assert distance(a, b) == slow(a, b)
