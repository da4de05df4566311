"""Names the three networks, and the features of a truth record that each of them is trained on."""

from coltran.records import schema

STAGE_FEATURES = {
    "colorizer": (schema.GRAY_LO, schema.COARSE_LO),
    "color_upsampler": (schema.GRAY_LO, schema.COARSE_LO, schema.RGB_LO),
    "spatial_upsampler": (schema.GRAY_HI, schema.RGB_LO, schema.RGB_HI),
}
STAGES = tuple(STAGE_FEATURES)
# The single upsampler for color and space starts from coarse colors. It is trained as the stage spatial_upsampler.
JOINT_FEATURES = (schema.GRAY_HI, schema.COARSE_LO, schema.RGB_HI)
