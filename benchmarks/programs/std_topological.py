import heapq
from collections import defaultdict

NODES = 60  # 20..160
STEP = 7  # 3..17

# %% candidate
def order(nodes, edges):
    """Return the nodes so that every edge goes forward; the smallest name first where free."""
    following, open_edges = defaultdict(list), dict.fromkeys(nodes, 0)
    for source, target in edges:
        following[source].append(target)
        open_edges[target] += 1
    ready = [node for node in nodes if not open_edges[node]]
    heapq.heapify(ready)
    result = []
    while ready:
        node = heapq.heappop(ready)
        result.append(node)
        for target in following[node]:
            open_edges[target] -= 1
            if not open_edges[target]:
                heapq.heappush(ready, target)
    if len(result) != len(open_edges):  # wrong: if len(result) > len(open_edges):
        raise ValueError("the edges form a circle")
    return result


# %% test
def test_edges_go_forward():
    edges = [(i, j) for i in range(NODES) for j in range(i + STEP, NODES, STEP)]
    position = {node: index for index, node in enumerate(order(range(NODES), edges))}
    assert all(position[a] < position[b] for a, b in edges)

# %% test
def test_without_edges():
    assert order([3, 1, 2], []) == [1, 2, 3]

# %% test
def test_chain():
    edges = [(i + 1, i) for i in range(NODES - 1)]
    assert order(range(NODES), edges) == list(range(NODES))[::-1]

# %% test (fails when wrong)
def test_circle():
    try:
        order(range(3), [(0, 1), (1, 2), (2, 0)])
    except ValueError:
        return
    raise AssertionError("no error for a circle")
