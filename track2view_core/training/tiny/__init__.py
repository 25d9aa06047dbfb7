"""What only the tiny models need, which are trained from nothing: their VAE and their base."""
