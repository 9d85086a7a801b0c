# Three charts of the same data.
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter

INK, QUIET = "#22303c", "#8a97a3"
COLOURS = dict(zip(by_category.index, ["#1f5a7a", "#d1495b", "#3a8f6b", "#e0a030", "#7a5c99"]))
plt.rcParams.update(
    {
        "figure.dpi": 130,
        "font.size": 10,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": QUIET,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 12,
        "axes.grid": True,
        "grid.color": "#e6eaee",
        "axes.axisbelow": True,
        "legend.frameon": False,
    }
)
thousands = FuncFormatter(lambda value, _: f"{value / 1000:,.0f} k")

# 1. Revenue of each month
months = orders.pivot_table(values="revenue", index="month", columns="category", aggfunc="sum")[by_category.index]
figure, axes = plt.subplots(figsize=(9, 4.6), layout="constrained")
axes.stackplot(
    months.index.to_timestamp(),
    months.T.values,
    labels=months.columns,
    colors=[COLOURS[c] for c in months.columns],
    alpha=0.92,
    linewidth=0,
)
axes.set_title("Revenue by month and category")
axes.yaxis.set_major_formatter(thousands)
axes.margins(x=0)
axes.set_ylim(0, months.sum(axis=1).max() * 1.08)
handles, labels = axes.get_legend_handles_labels()
axes.legend(handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1.01, 0.5))
figure.savefig("revenue.png")

# 2. Where it is earned
table = by_place.drop(index="All", columns="All").loc[by_category.index]
figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
axes.grid(False)
picture = axes.imshow(table, cmap="YlGnBu", aspect="auto", vmin=0)
axes.set_xticks(range(len(table.columns)), table.columns)
axes.set_yticks(range(len(table.index)), table.index)
axes.tick_params(length=0)
for spine in axes.spines.values():
    spine.set_visible(False)
for row, column in np.ndindex(table.shape):
    value = table.iat[row, column]
    axes.text(
        column,
        row,
        f"{value / 1000:,.0f} k",
        ha="center",
        va="center",
        color="white" if value > table.values.max() * 0.55 else INK,
    )
axes.set_title("Revenue by category and region")
figure.savefig("regions.png")

# 3. Price and demand: tenths of each category's orders by price, and what was fitted
figure, axes = plt.subplots(figsize=(8, 4.8), layout="constrained")
for category, colour in COLOURS.items():
    rows = orders[orders.category == category]
    tenths = rows.groupby(pd.qcut(rows.log_price, 10), observed=True).agg(
        x=("log_price", "mean"), y=("units", "mean"), error=("units", "sem")
    )
    axes.errorbar(
        np.exp(tenths.x) * 100,
        tenths.y,
        yerr=1.96 * tenths.error,
        fmt="o",
        markersize=5,
        color=colour,
        elinewidth=1,
        alpha=0.85,
    )
    line = np.linspace(tenths.x.min(), tenths.x.max(), 50)
    # The mean of a lognormal lies above its median.
    fitted = models[category]
    level = np.exp(
        fitted.params["const"]
        + fitted.resid.var() / 2
        + fitted.params["discount"] * rows.discount.mean()
        + fitted.params["weekend"] * rows.weekend.mean()
    )
    axes.plot(
        np.exp(line) * 100,
        level * np.exp(fitted.params["log_price"] * line),
        color=colour,
        linewidth=1.8,
        label=category,
    )
axes.set(xscale="log", xlabel="price, in % of the category's median", ylabel="units per order", ylim=(0, None))
axes.set_xticks([60, 80, 100, 125, 160], ["60", "80", "100", "125", "160"])
axes.minorticks_off()
axes.set_title("Dearer than usual, bought less: mean units with 95 % intervals")
axes.legend()
figure.savefig("demand.png")
plt.close("all")
print("revenue.png, regions.png and demand.png are drawn")
