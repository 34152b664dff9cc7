"""Models whose requests go as batch jobs."""

from unisafe_async.run.batches.lane import BatchLane

__all__ = ["BatchLane"]
