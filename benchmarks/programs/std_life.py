import itertools
from collections import Counter

ROUNDS = 12  # 4..60
SHIFT = 5  # 0..1000

# %% candidate
def step(cells):
    """One generation of Conway's game of life, on a set of living cells."""
    neighbours = Counter(
        (x + dx, y + dy)
        for x, y in cells
        for dx, dy in itertools.product((-1, 0, 1), repeat=2)
        if dx or dy
    )
    return {cell for cell, n in neighbours.items() if n == 3 or (n == 2 and cell in cells)}  # wrong: return {cell for cell, n in neighbours.items() if n == 3}


def moved(cells, dx, dy):
    return {(x + dx, y + dy) for x, y in cells}


# %% test (fails when wrong)
def test_glider():
    glider = moved({(0, 1), (1, 2), (2, 0), (2, 1), (2, 2)}, SHIFT, SHIFT)
    cells = glider
    for _ in range(4 * ROUNDS):
        cells = step(cells)
    assert cells == moved(glider, ROUNDS, ROUNDS)

# %% test
def test_block():
    block = moved({(0, 0), (0, 1), (1, 0), (1, 1)}, SHIFT, 0)
    assert step(block) == block

# %% test (fails when wrong)
def test_blinker():
    blinker = moved({(0, 0), (0, 1), (0, 2)}, SHIFT, 0)
    assert step(blinker) == moved({(-1, 1), (0, 1), (1, 1)}, SHIFT, 0)

# %% test
def test_nothing():
    assert step(set()) == set() and step({(0, 0)}) == set()
