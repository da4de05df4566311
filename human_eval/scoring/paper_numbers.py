"""Lists the fooling rates that the paper prints (section 5.5), in percent, with their +-, which it does not define."""

COLTRAN_ORACLE = (62.0, 0.99)
COLTRAN_SAMPLES = ((40.5, 0.81), (42.3, 0.76), (41.7, 0.83))
OTHERS = {
    "PixColor, oracle": (38.3, 0.98),
    "PixColor, seed 1": (33.3, 1.04),
    "PixColor, seed 2": (35.4, 1.01),
    "PixColor, seed 3": (33.2, 1.03),
    "CIC": (29.2, 0.98),
    "LRAC": (30.9, 1.02),
    "LTBC": (25.8, 0.97),
}
