import operator
import random
import re

TERMS = 12  # 5..60
BASE = 9  # 3..99

# %% candidate
_TOKEN = re.compile(r"\s*(?:(\d+)|(.))")
_RANK = {"+": 1, "-": 1, "*": 2, "%": 2}
_DO = {"+": operator.add, "-": operator.sub, "*": operator.mul, "%": operator.mod}


def evaluate(text):
    """Evaluate + - * % and parentheses over non-negative integers."""
    numbers, waiting = [], []

    def reduce():
        right, left = numbers.pop(), numbers.pop()
        numbers.append(_DO[waiting.pop()](left, right))

    for number, sign in _TOKEN.findall(text):
        if number:
            numbers.append(int(number))
        elif sign == "(":
            waiting.append(sign)
        elif sign == ")":
            while waiting[-1] != "(":
                reduce()
            waiting.pop()
        else:
            while waiting and waiting[-1] != "(" and _RANK[waiting[-1]] >= _RANK[sign]:  # wrong: while waiting and waiting[-1] != "(":
                reduce()
            waiting.append(sign)
    while waiting:
        reduce()
    return numbers[0]


# %% test (fails when wrong)
def test_precedence():
    assert evaluate(f"{BASE} + {BASE} * 2") == 3 * BASE

# %% test
def test_parentheses():
    assert evaluate(f"({BASE} + 1) * ({BASE} - 1)") == BASE * BASE - 1

# %% test
def test_left_to_right():
    text = " - ".join(str(BASE + i) for i in range(TERMS))
    assert evaluate(text) == eval(text)

# %% test (fails when wrong)
def test_random_ones():
    source = random.Random(BASE)
    for _ in range(TERMS):
        text = "1 + 2 * 3" + "".join(
            f" {source.choice('+-*')} {source.randrange(1, BASE)}" for _ in range(TERMS)
        )
        assert evaluate(text) == eval(text)
