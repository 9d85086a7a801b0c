"""Makes the orders of a shop that does not exist: two years, four regions, five categories, the same on every run."""

import csv
import datetime
import io
import math
import random

ROWS = 12_000
FIRST_DAY = datetime.date(2024, 1, 1)
DAYS = 731

# Price, elasticity (how many per cent fewer are bought for one per cent more), share of the orders, month of the peak.
CATEGORIES = {
    "Books": (18, -0.6, 0.24, 12),
    "Electronics": (240, -1.7, 0.17, 11),
    "Garden": (55, -1.1, 0.18, 5),
    "Kitchen": (70, -1.2, 0.22, 12),
    "Sports": (85, -1.4, 0.19, 7),
}
REGIONS = {"North": 0.31, "East": 0.18, "South": 0.27, "West": 0.24}
COLUMNS = [
    "order_id",
    "date",
    "region",
    "category",
    "channel",
    "unit_price",
    "discount",
    "units",
    "delivery_days",
    "rating",
]


def csv_text() -> str:
    """The orders as a CSV file."""
    chance = random.Random(20240101)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number in range(ROWS):
        writer.writerow(order(chance, number))
    return text.getvalue()


def order(chance: random.Random, number: int) -> list:
    date = FIRST_DAY + datetime.timedelta(days=day(chance))
    category = chance.choices(
        list(CATEGORIES), [CATEGORIES[c][2] * season(date, CATEGORIES[c][3]) for c in CATEGORIES]
    )[0]
    region = chance.choices(list(REGIONS), list(REGIONS.values()))[0]
    list_price, elasticity, _, _ = CATEGORIES[category]
    price = list_price * math.exp(chance.gauss(0, 0.28))
    discount = chance.choices([0, 0.05, 0.1, 0.2], [0.62, 0.16, 0.14, 0.08])[0]
    demand = (
        1.1
        + elasticity * math.log(price / list_price)
        + 1.8 * discount
        + 0.12 * (date.weekday() >= 5)
        + chance.gauss(0, 0.35)
    )
    delivery = max(1, round(chance.gauss(3.1 if region != "East" else 4.6, 1.2)))
    # One order in ten is not rated.
    rating = "" if chance.random() < 0.1 else min(5, max(1, round(chance.gauss(5.1 - 0.28 * delivery, 0.7))))
    channel = chance.choices(["web", "app", "store"], [0.5, 0.3, 0.2])[0]
    return [
        100_000 + number,
        date,
        region,
        category,
        channel,
        f"{price:.2f}",
        discount,
        max(1, round(math.exp(demand))),
        delivery,
        rating,
    ]


def day(chance: random.Random) -> int:
    """Business grows: the last day has twice the orders of the first."""
    while True:
        day = chance.randrange(DAYS)
        if chance.random() < 0.5 + 0.5 * day / DAYS:
            return day


def season(date: datetime.date, peak: int) -> float:
    return 1 + 0.45 * math.cos((date.timetuple().tm_yday / 365.25 - (peak - 0.5) / 12) * 2 * math.pi)
