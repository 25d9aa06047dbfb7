"""WAN 2.1: seams, LoRA, bundle, checkpoints, VAE and the sampler."""
