"""How `orders.asc` was made: a fixed seed, six banks, amounts as people pay them."""

import random
import sys
from collections.abc import Iterator
from decimal import Decimal

SEED = 20260105
ACCOUNTS = 420
ORDERS = 640
BANKS = ("AB", "DE", "IJ", "MN", "SR", "WX")
# Symbol, share of the orders, typical amount in major units.
KINDS = (
    ("SIPO", 52, 3200),
    ("UVER", 16, 4700),
    ("POJISTNE", 14, 900),
    ("LEASING", 6, 2300),
    (" ", 12, 1500),
)


def orders(draw: random.Random) -> Iterator[str]:
    """The lines of the file, header first."""
    yield '"order_id";"account_id";"bank_to";"account_to";"amount";"k_symbol"'
    accounts = sorted(draw.sample(range(20_001, 29_999), ACCOUNTS))
    holders = sorted(accounts + draw.choices(accounts, k=ORDERS - ACCOUNTS))
    order_id = 100_000
    for account in holders:
        order_id += draw.randint(1, 3)
        symbol, _, typical = draw.choices(KINDS, [share for _, share, _ in KINDS])[0]
        hundredths = max(100, round(draw.lognormvariate(0, 0.7) * typical * 10) * 10)
        amount = Decimal(hundredths) / 100
        payee = draw.randint(10_000_000, 99_999_999)
        yield f'{order_id};{account};"{draw.choice(BANKS)}";"{payee}";{amount:.2f};"{symbol}"'


if __name__ == "__main__":
    seeded = random.Random(SEED)  # noqa: S311 - repeatable, not secret
    sys.stdout.write("\n".join(orders(seeded)) + "\n")
