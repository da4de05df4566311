"""Turns images into features, with Inception in two frameworks, TF-GAN's network, or a random network."""
