# What moves the number of units in an order.
import numpy as np
import statsmodels.api as sm

# How many fewer are bought when the price is higher? Prices are compared within their category.
orders["log_price"] = np.log(orders.unit_price / orders.groupby("category").unit_price.transform("median"))
orders["weekend"] = (orders.date.dt.dayofweek >= 5).astype(float)


def regress(rows):
    """Ordinary least squares on the logarithm of the units."""
    return sm.OLS(np.log(rows.units), sm.add_constant(rows[["log_price", "discount", "weekend"]])).fit()


model = regress(orders)
models = {category: regress(rows) for category, rows in orders.groupby("category")}
coefficients = pd.concat(
    {"effect": model.params, "low": model.conf_int()[0], "high": model.conf_int()[1], "p": model.pvalues}, axis=1
).drop("const")
print("What moves the number of units in an order, with 95 % intervals\n")
print(coefficients.to_string(float_format="{:8.3f}".format))
print(f"\n{model.nobs:,.0f} orders, R² {model.rsquared:.2f}. A price 10 % higher changes the units")
for category in by_category.index:
    print(f"  of {category:<12}by {1.1 ** models[category].params['log_price'] - 1:+6.1%}")
