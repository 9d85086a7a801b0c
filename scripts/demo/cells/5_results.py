# The results as a workbook and as a CSV file.
with pd.ExcelWriter("results.xlsx") as book:
    by_category.to_excel(book, sheet_name="categories")
    by_place.to_excel(book, sheet_name="regions")
    months.set_index(months.index.astype(str)).to_excel(book, sheet_name="months")
    coefficients.to_excel(book, sheet_name="regression")
by_category.round(4).to_csv("categories.csv")
print("results.xlsx (four sheets) and categories.csv are written")
