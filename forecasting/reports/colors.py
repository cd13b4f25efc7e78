"""The colours of all charts: actual prices are blue, predicted ones red."""

INK = "#202124"
MUTED = "#5f6368"
BLUE = "#1559b3"
RED = "#c5221f"
GREY = "#73777c"
HAIRLINE = "#e3e5e8"

# For each interval, widest first: the positions of its two quantiles in `forecasting.quantiles`, its tint.
BANDS = ((0, 10, "#fce8e6"), (1, 9, "#f8cfcb"), (2, 8, "#f2aca6"))

DASHES = (4, 3)  # lengths of dash and gap, in line widths
