"""Images to features: Inception in two frameworks, TF-GAN's, and a random network."""
