from collections import OrderedDict

CAPACITY = 16  # 4..64
ROUNDS = 300  # 100..2000

# %% candidate
class Cache:
    """Keeps the entries that were used last."""

    def __init__(self, capacity):
        self.capacity = capacity
        self.entries = OrderedDict()

    def get(self, key, default=None):
        if key not in self.entries:
            return default
        self.entries.move_to_end(key)  # wrong: pass
        return self.entries[key]

    def put(self, key, value):
        self.entries[key] = value
        self.entries.move_to_end(key)
        if len(self.entries) > self.capacity:
            self.entries.popitem(last=False)


# %% test
def test_capacity():
    cache = Cache(CAPACITY)
    for number in range(ROUNDS):
        cache.put(number, number * number)
    assert len(cache.entries) == CAPACITY
    assert cache.get(ROUNDS - 1) == (ROUNDS - 1) ** 2

# %% test (fails when wrong)
def test_use_keeps_an_entry():
    cache = Cache(CAPACITY)
    for number in range(ROUNDS):
        cache.put(number, number)
        assert cache.get(0) == 0

# %% test
def test_default():
    assert Cache(CAPACITY).get("missing", 5) == 5

# %% test
def test_overwriting():
    cache = Cache(2)
    for value in range(ROUNDS):
        cache.put("a", value)
        cache.put("b", -value)
    assert (cache.get("a"), cache.get("b")) == (ROUNDS - 1, 1 - ROUNDS)
