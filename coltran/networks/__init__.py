"""Defines the networks: configs, layers, the colorizer and the upsamplers."""
