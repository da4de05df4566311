"""The Colorization Transformer: records, color maths, networks, training and sampling."""
