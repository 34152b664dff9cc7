"""The rows of a batch of text: where each ends, and going on with what a row has written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import StoppingCriteria

from unisafe_providers.local.engine import Watch

PER_TOKEN = {"input_ids": None, "attention_mask": 1, "token_type_ids": 0, "mm_token_type_ids": 0}
"""A processor's tensors with one number for each token, and the number for a token of the answer."""
GOES_ON_WITH = frozenset({"repetition_penalty", "no_repeat_ngram_size", "bad_words_ids", "suppress_tokens", "sequence_bias"})
"""Arguments of `generate` that see one sequence and do not ask where its answer begins."""
FROM_THE_START: Mapping[str, tuple[Any, ...]] = {
    **dict.fromkeys(("min_length", "min_new_tokens", "penalty_alpha", "token_healing"), (None, 0)),
    **dict.fromkeys(("guidance_scale", "encoder_repetition_penalty", "num_beams", "num_return_sequences"), (None, 1)),
    **dict.fromkeys(("exponential_decay_length_penalty", "forced_bos_token_id", "forced_eos_token_id", "max_time"), (None,)),
    **dict.fromkeys(("begin_suppress_tokens", "stop_strings", "watermarking_config", "dola_layers"), (None,)),
    **dict.fromkeys(("prompt_lookup_num_tokens", "encoder_no_repeat_ngram_size"), (None, 0)),
}
"""Settings of a generation_config with which an answer that is read again would go on differently, and their harmless values."""


OF_IMAGES = re.compile(r"(image|video|vision|audio|boi|eoi)\w*_token_(id|index)")
"""A config's names for tokens that stand for images."""


def can_go_on(config: Any, extra: Mapping[str, Any]) -> bool:
    """Whether an answer that was stopped goes on as if it had not been, with a model's generation_config and the user's `extra`."""
    harmless = all(getattr(config, name, None) in values for name, values in FROM_THE_START.items())
    return harmless and extra.keys() <= GOES_ON_WITH


def find_placeholders(config: Any, processor: Any) -> tuple[int, ...]:
    """Tokens that stand for images in a prompt, by a model's config and processor: an answer that holds one is not read again."""
    named = {**config.to_dict(), **vars(processor)}
    return tuple(sorted({value for name, value in named.items() if OF_IMAGES.fullmatch(name) and isinstance(value, int)}))


def knows_tokens(inputs: Mapping[str, Any]) -> bool:
    """Whether only tensors that `append_written` knows have a number for each token."""
    shape = inputs["input_ids"].shape
    return not any(value.ndim > 1 and value.shape[:2] == shape for name, value in inputs.items() if name not in PER_TOKEN)


def append_written(inputs: Mapping[str, Any], written: Sequence[Sequence[int]], pad: int) -> dict[str, Any]:
    """The tensors of a left-padded batch with each row's answer so far after its prompt, padded on the left again.

    Args:
        inputs: tensors of a processor, rows x tokens.
        written: the tokens that each row has written.
    """
    if not any(written):
        return dict(inputs)
    mask = inputs["attention_mask"].bool()
    lengths = [int(row.sum()) + len(tokens) for row, tokens in zip(mask, written, strict=True)]
    found = dict(inputs)
    for name, of_answer in PER_TOKEN.items():
        if name not in inputs:
            continue
        value = inputs[name]
        padding = pad if name == "input_ids" else 0
        longer = torch.full((len(written), max(lengths)), padding, dtype=value.dtype, device=value.device)
        for row, (kept, tokens, length) in enumerate(zip(mask, written, lengths, strict=True)):
            added = torch.tensor(tokens if of_answer is None else [of_answer] * len(tokens), dtype=value.dtype, device=value.device)
            longer[row, max(lengths) - length :] = torch.cat([value[row][kept], added])
        found[name] = longer
    return found


class RowEnds(StoppingCriteria):  # type: ignore[misc]
    """Ends each row after its own number of tokens, and the whole batch when the watch wants the rest back.

    Args:
        rooms: the most tokens that each row may still write.
        start: tokens of the padded prompts.
        ends: tokens that end an answer.
        placeholders: tokens that stand for images; once a row has written one, the batch runs to its end.
        watch: hears of every step.

    Attributes:
        stopped: whether the watch wanted the rest back.
    """

    def __init__(
        self, rooms: Sequence[int], start: int, ends: Sequence[int], placeholders: Sequence[int], watch: Watch, device: Any
    ) -> None:
        self._rooms = list(rooms)
        self._room = torch.tensor(self._rooms, device=device)
        self._start = start
        self._ends = torch.tensor(list(ends), dtype=torch.long, device=device)
        self._ended = torch.zeros(len(self._rooms), dtype=torch.bool, device=device)
        self._placeholders = torch.tensor(list(placeholders), dtype=torch.long, device=device)
        self._stoppable = True
        self._watch = watch
        self.stopped = False

    def __call__(self, input_ids: Any, scores: Any, **options: Any) -> Any:
        steps = input_ids.shape[1] - self._start
        last = input_ids[:, -1]
        if len(self._placeholders):
            self._stoppable = self._stoppable and not bool((torch.isin(last, self._placeholders) & ~self._ended).any())
        self._ended = self._ended | torch.isin(last, self._ends) | (self._room <= steps)
        ended = self._ended.tolist()
        live = [room for room, over in zip(self._rooms, ended, strict=True) if not over]
        self._watch.note(len(live))
        if live and self._stoppable and self._watch.wants_rest(len(live), len(ended), max(live) - steps):
            self.stopped = True
            return torch.ones_like(self._ended)
        return self._ended


class StepsTold(StoppingCriteria):  # type: ignore[misc]
    """Tells a watch of each step and ends nothing."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def __call__(self, input_ids: Any, scores: Any, **options: Any) -> Any:
        self._watch.note(len(input_ids))
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
