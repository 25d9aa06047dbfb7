"""Training of the tiny models on rendered scenes."""
