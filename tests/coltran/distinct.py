"""Which named colorizers are other networks, and not the same one with other sizes."""

from collections.abc import Mapping

from coltran.networks import presets
from coltran.networks.config import replace_fields


def distinct_colorizers(sizes: Mapping[str, int]) -> list[str]:
    """Sorted names from `presets.COLORIZERS`, one for each network that is left when all have the same `sizes`."""
    found = {}
    for name in sorted(presets.COLORIZERS):
        config = presets.network_config("colorizer", name, height=28, width=28)  # coltran_s has these alone
        layers = {"num_encoder_layers": 1, "num_outer_layers": 1, "num_inner_layers": 1}
        found.setdefault(str(replace_fields(config, {**sizes, **layers})), name)
    return sorted(found.values())
