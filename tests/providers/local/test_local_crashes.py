"""Requests that end a local model's process, and devices that are lost: what it costs, and whom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import forked_worker
import pytest
from unisafe_providers.base import Capabilities, Misconfigured, Rejected, Request, Response, Text, Transient
from unisafe_providers.local import LocalProvider, LocalSettings, process
from unisafe_providers.local.failures import is_device_lost, is_out_of_memory

Make = Callable[..., LocalProvider]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setattr(process, "COMMAND", forked_worker.standing_in("failing_worker"))
    (tmp_path / "config.json").write_text("{}")
    return lambda **options: LocalProvider(
        LocalSettings(library="transformers", model=str(tmp_path), **options), Capabilities(), ["cpu"]
    )


@pytest.fixture
def provider(make: Make) -> LocalProvider:
    return make()


async def answers_to(provider: LocalProvider, texts: list[str]) -> dict[str, Response | Exception]:
    """Each text asked again while it is worth it, as the gateway does."""
    answers: dict[str, Response | Exception] = {}

    async def one(text: str) -> None:
        for _ in range(8):
            try:
                answers[text] = await provider.call(Request(kind="chat", parts=(Text(text),)))
            except Transient as error:
                answers[text] = error
                continue
            except Exception as error:
                answers[text] = error
            return

    async with provider, anyio.create_task_group() as group:
        for text in texts:
            group.start_soon(one, text)
    return answers


@pytest.mark.parametrize(
    ("word", "said"), [("ASSERT", "RuntimeError: CUDA error: device-side assert triggered"), ("KILL", "was ended by signal 9")]
)
async def test_only_the_requests_that_end_the_process_are_lost(provider: LocalProvider, word: str, said: str) -> None:
    good = [f"a calm day {number}" for number in range(9)]
    answers = await answers_to(provider, [*good[:4], f"{word} 1", *good[4:], f"{word} 2", f"{word} 3"])
    assert [text for text in good if not isinstance(answers[text], Response)] == []
    for number in (1, 2, 3):
        error = answers[f"{word} {number}"]
        assert isinstance(error, Rejected)
        assert said in str(error)
        assert "2 times while it ran this request alone" in str(error)


async def test_a_model_that_answers_nobody_is_given_up(provider: LocalProvider) -> None:
    answers = await answers_to(provider, [f"KILL {number}" for number in range(12)])
    kinds = [type(answer) for answer in answers.values()]
    assert kinds.count(Misconfigured) >= 7
    assert kinds.count(Misconfigured) + kinds.count(Rejected) == 12
    assert provider.status.state == "failed"


async def test_memory_of_the_devices_libraries_that_runs_out_halves_the_batch(provider: LocalProvider) -> None:
    answers = await answers_to(provider, [f"WIDE {number}" for number in range(8)])
    assert [answer for answer in answers.values() if not isinstance(answer, Response)] == []
    assert provider.status.halved >= 1


async def test_a_batch_without_a_word_is_ended_and_costs_only_the_request_that_hangs(make: Make) -> None:
    assert isinstance((await answers_to(make(), ["a calm day"]))["a calm day"], Response), "what processes start from is imported"
    provider = make(patience_s=2.0)
    answers = await answers_to(provider, ["a calm day", "HANG", "a calm night"])
    assert [type(answers[text]) for text in ("a calm day", "a calm night")] == [Response, Response]
    assert isinstance(answers["HANG"], Rejected)
    assert "was ended: no word for 2 s while it worked" in str(answers["HANG"])
    working = make(patience_s=2.0)
    answer = (await answers_to(working, ["WORK"]))["WORK"]
    assert isinstance(answer, Response), "twice its patience, and a sign of life at each step"
    assert working.status.said.startswith("batch of 1: step ")
    assert working.status.said.endswith("tokens")


async def test_a_model_whose_loading_hangs_is_stopped_with_one_line(make: Make) -> None:
    provider = make(patience_s=1.0, extra={"hangs": True})
    answers = await answers_to(provider, ["a calm day", "a calm night"])
    for error in answers.values():
        assert isinstance(error, Misconfigured)
        assert "was ended: no word for 1 s while it loaded" in str(error)
    assert provider.status.state == "failed"


class AcceleratorError(RuntimeError):
    """Of this name in torch."""


@pytest.mark.parametrize(
    ("error", "memory", "lost"),
    [
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True, False),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True, False),
        (AcceleratorError("CUDA error: out of memory"), True, False),
        (AcceleratorError("CUDA error: an illegal memory access was encountered"), False, True),
        (RuntimeError("CUDA error: unspecified launch failure"), False, True),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), False, True),
        (RuntimeError("HIP error: the operation cannot be performed in the present state"), False, True),
        (RuntimeError("NCCL error in: ProcessGroupNCCL.cpp:1275, unhandled cuda error"), False, True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), False, True),
        (RuntimeError("mat1 and mat2 must have the same dtype"), False, False),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"), False, False),
        (ValueError("the words `CUDA error` in a template"), False, False),
    ],
)
def test_errors_of_devices_are_told_apart(error: Exception, memory: bool, lost: bool) -> None:
    assert (is_out_of_memory(error), is_device_lost(error)) == (memory, lost)
