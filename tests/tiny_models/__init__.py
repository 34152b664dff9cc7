"""Tiny models with random weights, saved as a hub's download looks: what each family's code is tested on."""
