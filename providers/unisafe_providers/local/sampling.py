"""Choosing tokens so that a request gets the same answer in every batch: each row has random numbers of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from unisafe_providers.base import Request
from unisafe_providers.local.engine import Watch

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


class Told(LogitsProcessor):  # type: ignore[misc]
    """Tells a watch of each step, and changes nothing.

    Args:
        rows: requests in the batch; guidance doubles the rows that the model sees.
    """

    def __init__(self, watch: Watch, rows: int) -> None:
        self._watch = watch
        self._rows = rows

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        self._watch.note(self._rows)
        return scores


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
    sampling: tuple[float, float | None, int | None],
    seeds: Sequence[int],
    steps: int,
    device: Device,
    written: Sequence[int] | None = None,
) -> LogitsProcessorList:
    """The processors that sample each row by its own seed.

    Args:
        sampling: temperature, top-p and top-k.
        seeds: one for each row.
        steps: the most tokens of a row that are still to come.
        device: where the numbers go.
        written: tokens that each row has chosen already; its random numbers go on after theirs.
    """
    temperature, top_p, top_k = sampling
    processors = LogitsProcessorList()
    if temperature != 1.0:
        processors.append(TemperatureLogitsWarper(temperature))
    if top_k:
        processors.append(TopKLogitsWarper(top_k))
    if top_p is not None and top_p < 1.0:
        processors.append(TopPLogitsWarper(top_p))
    before = written or [0] * len(seeds)
    numbers = [
        torch.rand(skipped + steps, generator=device.build_generator(seed))[skipped:]
        for seed, skipped in zip(seeds, before, strict=True)
    ]
    uniform = torch.stack(numbers)
    processors.append(SeededChoice(uniform.to(device.torch)))
    return processors
