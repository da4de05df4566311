"""The Colorization Transformer has records, color math, networks, training and sampling."""
