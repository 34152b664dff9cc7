"""`unisafe simulate`: the simulated models over HTTP, as each vendor would serve them."""

from unisafe_async.simulate.server import FAULTS, Faults, Simulator, serving

__all__ = ["FAULTS", "Faults", "Simulator", "serving"]
