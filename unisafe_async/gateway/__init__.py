"""The only door to a model, for generation, intents and judging."""

from unisafe_async.gateway.budget import Budget, BudgetSpent, Draining, NotRun
from unisafe_async.gateway.calling import key_of
from unisafe_async.gateway.clock import Clock
from unisafe_async.gateway.concurrency import AdaptiveConcurrency
from unisafe_async.gateway.endpoint import BatchJobs, Counts, Endpoint
from unisafe_async.gateway.gateway import Asked, Gateway, explain_in_batch
from unisafe_async.gateway.rates import Pace, RateLimits

__all__ = [
    "AdaptiveConcurrency",
    "Asked",
    "BatchJobs",
    "Budget",
    "BudgetSpent",
    "Clock",
    "Counts",
    "Draining",
    "Endpoint",
    "Gateway",
    "NotRun",
    "Pace",
    "RateLimits",
    "explain_in_batch",
    "key_of",
]
