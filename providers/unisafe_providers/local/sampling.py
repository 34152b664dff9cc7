"""Choosing tokens so that a request gets the same answer in every batch: each row has random numbers of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from unisafe_providers.base import Request

if TYPE_CHECKING:
    from unisafe_providers.local.device import Device


class SeededChoice(LogitsProcessor):  # type: ignore[misc]
    """Draws one token for each row by inverting its distribution, and leaves only that token to choose.

    `generate` then takes the greedy path. The numbers are drawn up front, one for each row and step, from each row's seed.

    Args:
        uniform: numbers in [0, 1), rows x steps.
    """

    def __init__(self, uniform: Any) -> None:
        self._uniform = uniform
        self._step = 0

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        precise = torch.float32 if scores.device.type == "mps" else torch.float64
        reached = torch.softmax(scores, dim=-1, dtype=precise).cumsum(dim=-1)
        wanted = self._uniform[:, self._step : self._step + 1].to(precise) * reached[:, -1:]
        self._step += 1
        chosen = (reached <= wanted).sum(dim=-1, keepdim=True)
        return torch.full_like(scores, float("-inf")).scatter(-1, chosen, 0.0)


def sampling_of(request: Request, own: Any) -> tuple[float, float | None, int | None] | None:
    """Temperature, top-p and top-k for a request; None for greedy.

    If the request leaves a value open, the model's own counts: `own` is its generation_config.
    """
    temperature = request.temperature
    if temperature is None:
        if not own.do_sample and request.top_p is None:
            return None
        temperature = own.temperature if own.do_sample and own.temperature is not None else 1.0
    if temperature == 0:
        return None
    top_p = request.top_p if request.top_p is not None else own.top_p
    return float(temperature), top_p, own.top_k


def build_processors(
    sampling: tuple[float, float | None, int | None], seeds: Sequence[int], steps: int, device: Device
) -> LogitsProcessorList:
    """The processors that sample each row by its own seed."""
    temperature, top_p, top_k = sampling
    processors = LogitsProcessorList()
    if temperature != 1.0:
        processors.append(TemperatureLogitsWarper(temperature))
    if top_k:
        processors.append(TopKLogitsWarper(top_k))
    if top_p is not None and top_p < 1.0:
        processors.append(TopPLogitsWarper(top_p))
    uniform = torch.stack([torch.rand(steps, generator=device.build_generator(seed)) for seed in seeds])
    processors.append(SeededChoice(uniform.to(device.torch)))
    return processors
