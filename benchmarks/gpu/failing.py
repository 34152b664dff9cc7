"""What goes wrong on a device: a request that kills its context, a package that is missing, quantized weights."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import anyio
from unisafe_providers.base import Misconfigured, Rejected, Response

from benchmarks.gpu.asking import NotedProvider, ask_once, chat
from benchmarks.gpu.models import GIB, find_large, find_tiny, measure_weights
from benchmarks.gpu.place import Place, Seen

SHARES = {"8bit": 0.75, "4bit": 0.5}
"""The most of its bfloat16 weights' size that a quantized model may take."""


def check_lost_device(place: Place) -> Seen:
    """One of 16 requests makes CUDA's context unusable: its process ends, another one answers the other requests."""
    folder, deadly = shorten(find_tiny(place, "llama"), place.folder / "shortened")
    texts = [f"{number} + {number}" for number in range(15)]
    requests = [chat(text, 8) for text in (*texts[:7], deadly, *texts[7:])]
    provider, answers = anyio.run(ask_once, NotedProvider(place, folder, batch_size=16), requests)
    bad, others = answers.all[7], sum(isinstance(answer, Response) for answer in (*answers.all[:7], *answers.all[8:]))
    processes = len(set(provider.started))
    told = f"given up: {bad}" if isinstance(bad, Rejected) else "answered" if isinstance(bad, Response) else f"failed: {bad}"
    words = f"{others} of {len(texts)} others answered, by {processes} processes in turn"
    figures = (("one request of 16 that kills CUDA's context", words),) if place.cuda else ()
    good = others == len(texts) and isinstance(bad, Rejected) and (processes > 1) == place.cuda
    return Seen(good, f"{words}; the request itself was {told}", figures)


def shorten(folder: Path, copy: Path) -> tuple[Path, str]:
    """A model without a row for its last token, and a text of that token: a lookup out of range, which CUDA never forgets."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    last = len(tokenizer) - 1
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(last)
    model.save_pretrained(copy)
    tokenizer.save_pretrained(copy)
    return copy, f"1{tokenizer.decode([last])}"  # a digit ends a word, so the token is not joined to what is before it


def check_attention(place: Place) -> Seen:
    """`attn = "flash_attention_2"` answers where its package is installed; elsewhere the message names the package."""
    here = importlib.util.find_spec("flash_attn") is not None
    folder = find_tiny(place, "llama", "bfloat16")
    provider = NotedProvider(place, folder, attn="flash_attention_2")
    _, answers = anyio.run(ask_once, provider, [chat("A quiet morning", 4)])
    (answer,) = answers.all
    if here and place.cuda:
        return Seen(not answers.errors, f"flash_attn is installed; {answers.words}")
    named = isinstance(answer, Misconfigured) and "flash" in str(answer).lower()
    return Seen(named, f"without the package: {answer}")


def check_quantized(place: Place) -> Seen:
    """The model of Qwen3-8B's shape in 8 and 4 bits; where bitsandbytes is missing, the message names it."""
    folder, (count, tokens) = find_large(place), (4, 4) if place.small else (32, 32)
    here, oks, told, figures = importlib.util.find_spec("bitsandbytes") is not None, [], [], []
    requests = [chat(f"Write about number {number}.", tokens, seed=number) for number in range(count)]
    for bits, share in SHARES.items():
        if place.small and bits == "4bit":
            continue  # bitsandbytes does no 4 bits of so small a matrix on a CPU
        provider = NotedProvider(place, folder, quantization=bits, extra={"min_new_tokens": tokens})
        provider, answers = anyio.run(ask_once, provider, requests)
        if not here:
            oks.append(bool(answers.errors) and "bitsandbytes" in str(answers.errors[0]))
            told.append(f"{bits} without bitsandbytes: {answers.errors[0] if answers.errors else answers.words}")
            continue
        taken = provider.status.memory_used
        fits = place.small or taken < share * measure_weights(folder) + 2 * GIB
        oks.append(not answers.errors and fits)
        told.append(f"{bits}: {answers.words}, {taken / GIB:.1f} GiB, {answers.speed:,.0f} tokens/s")
        figures.append(
            (f"the shape of Qwen3-8B in {bits}, by bitsandbytes", f"{taken / GIB:.1f} GiB, {answers.speed:,.0f} tokens/s")
        )
    return Seen(all(oks), "; ".join(told), tuple(figures))
