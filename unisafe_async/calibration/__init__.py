"""How far the judge can be trusted: people's labels, and the judge's agreement with them."""

from unisafe_async.calibration.agreement import Agreement, agree
from unisafe_async.calibration.labels import Label, LabelError

__all__ = ["Agreement", "Label", "LabelError", "agree"]
