import copy
import json

DEPTH = 4  # 2..7
WIDTH = 3  # 2..3

# %% candidate
def flatten(value, path=""):
    """Map the path of every leaf to the leaf; empty containers are leaves."""
    if isinstance(value, dict) and value:
        items = value.items()
    elif isinstance(value, list) and value:
        items = enumerate(value)
    else:
        return {path: value}
    result = {}
    for key, inner in items:
        result.update(flatten(inner, f"{path}/{key}" if path else str(key)))  # wrong: result.update(flatten(inner, str(key)))
    return result


def tree(depth, width):
    if not depth:
        return depth
    return {f"k{i}": tree(depth - 1, width) if i % 2 else [tree(depth - 1, width)] for i in range(width)}


# %% test (fails when wrong)
def test_number_of_leaves():
    assert len(flatten(tree(DEPTH, WIDTH))) == WIDTH**DEPTH

# %% test
def test_flat():
    assert flatten({"a": 1, "b": []}) == {"a": 1, "b": []}

# %% test (fails when wrong)
def test_paths():
    assert flatten({"a": [{"b": 1}, 2]}) == {"a/0/b": 1, "a/1": 2}

# %% test
def test_input_untouched():
    value = json.loads(json.dumps(tree(DEPTH, WIDTH)))
    before = copy.deepcopy(value)
    flatten(value)
    assert value == before
