import enum
import statistics
from dataclasses import dataclass, field, replace

ITEMS = 40  # 10..400
PRICE = 13  # 2..90

# %% candidate
class Kind(enum.Enum):
    FOOD = "food"
    TOOL = "tool"


@dataclass(frozen=True, order=True)
class Item:
    name: str
    kind: Kind = field(compare=False)
    price: int = field(compare=False)
    count: int = field(default=1, compare=False)


class Inventory:
    def __init__(self):
        self.items = {}

    def add(self, item):
        known = self.items.get(item.name)
        count = item.count + (known.count if known else 0)  # wrong: count = item.count
        self.items[item.name] = replace(item, count=count)

    def worth(self, kind=None):
        return sum(i.price * i.count for i in self.items.values() if kind in (None, i.kind))

    def median_price(self):
        return statistics.median(item.price for item in self.items.values())


# %% test
def test_worth():
    stock = Inventory()
    for number in range(ITEMS):
        stock.add(Item(f"n{number}", Kind.FOOD if number % 2 else Kind.TOOL, PRICE, number))
    assert stock.worth() == PRICE * ITEMS * (ITEMS - 1) // 2
    assert stock.worth() == stock.worth(Kind.FOOD) + stock.worth(Kind.TOOL)

# %% test (fails when wrong)
def test_adding_twice():
    stock = Inventory()
    for _ in range(ITEMS):
        stock.add(Item("nail", Kind.TOOL, PRICE))
    assert stock.items["nail"].count == ITEMS

# %% test
def test_median():
    stock = Inventory()
    for number in range(2 * ITEMS + 1):
        stock.add(Item(f"n{number}", Kind.FOOD, PRICE + number))
    assert stock.median_price() == PRICE + ITEMS

# %% test
def test_order():
    items = [Item(f"{number:05}", Kind.FOOD, -number) for number in range(ITEMS)]
    assert sorted(reversed(items)) == items
