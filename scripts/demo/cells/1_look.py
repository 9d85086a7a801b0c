# What is in the file: shape, types, missing values, the first rows.
import pandas as pd

orders = pd.read_csv("orders.csv", parse_dates=["date"])
orders["revenue"] = orders.units * orders.unit_price * (1 - orders.discount)
orders["month"] = orders.date.dt.to_period("M")

print(
    f"{len(orders):,} orders from {orders.date.min():%d %b %Y} to {orders.date.max():%d %b %Y}, {orders.rating.isna().sum():,} without a rating\n"
)
print(orders[["unit_price", "units", "revenue", "delivery_days", "rating"]].describe().round(2).to_string())
