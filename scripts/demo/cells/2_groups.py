# Orders by region and by category.
by_place = orders.pivot_table(
    values="revenue", index="category", columns="region", aggfunc="sum", margins=True, margins_name="All"
)
print("Revenue in thousands, by category and region\n")
print((by_place / 1000).round(0).astype(int).to_string())

by_category = orders.groupby("category").agg(
    orders=("order_id", "size"),
    revenue=("revenue", "sum"),
    basket=("revenue", "mean"),
    rating=("rating", "mean"),
    late=("delivery_days", lambda days: (days > 5).mean()),
)
years = orders.groupby(["category", orders.date.dt.year]).revenue.sum().unstack()
by_category["growth"] = years[2025] / years[2024] - 1
by_category = by_category.sort_values("revenue", ascending=False)
formats = {
    "revenue": "{:,.0f}".format,
    "basket": "{:,.2f}".format,
    "rating": "{:.2f}".format,
    "late": "{:.1%}".format,
    "growth": "{:+.0%}".format,
}
print("\nCategories, the largest first\n")
print(by_category.to_string(formatters=formats))
