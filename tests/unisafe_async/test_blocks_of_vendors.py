"""Every block that a vendor's file lists is read as what the file says that it means: each is played in a run of the whole program."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from unisafe_providers.presets import KnownBlock, find_preset, load_presets
from unisafe_providers.registry import built_in_spec
from vendor_cases import Asked, Case, Reply, Told, played

from unisafe_async import ConfigError, parse_config
from unisafe_async.screens.provider_facts import write_example

OUTCOMES = {
    "blocked/request": "blocked_request",
    "blocked/response": "blocked_response",
    "blocked": "blocked",
    "refused": "refused",
}
PLAYED = {
    (name, number): block for name, preset in load_presets().items() for number, block in enumerate(preset.blocks) if block.body
}
CHATS = {
    name: preset
    for name, preset in load_presets().items()
    if preset.server is None
    and (preset.key_env or preset.gateway)
    and (preset.wire in ("openai", "azure") or name in ("anthropic", "gemini"))
}
"""Vendors of chats; a server on this machine has no filter."""


def case_of(name: str, number: int, block: KnownBlock) -> Case:
    return Case(f"{name} {number}", name, block.status, {}, block.body, block.means)


def tell(case: Case) -> Told:
    name, number = case.name.split()
    preset = load_presets()[name]
    block = preset.blocks[int(number)]
    told: Told = {"provider": name}
    if block.asks == "image":
        told["gives"] = ["image"] if preset.image_wire else ["text", "image"]
    return told | block.section


def play(case: Case, _asked: Asked, _number: int) -> Reply:
    return Reply(case.status, case.body, case.headers)


async def test_each_block_of_each_vendor_lands_in_its_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [case_of(*place, block) for place, block in PLAYED.items()]
    found = await played(cases, tmp_path, monkeypatch, tell, play)
    wrong = {
        case.name: (case.expected, one.row.outcome, one.row.error, one.stopped)
        for case in cases
        if (one := found[case.name]).row.outcome != OUTCOMES[case.expected] or one.calls != 1
    }
    assert not wrong, "\n".join(map(str, wrong.items()))


@pytest.mark.parametrize("name", CHATS)
def test_each_vendor_of_a_chat_says_what_is_known_of_it(name: str) -> None:
    preset = CHATS[name]
    said: dict[str, Any] = {key: getattr(preset, key) for key in ("source", "read", "limits_source", "also_called")}
    said["blocks or no_filter"] = preset.blocks or preset.no_filter
    assert all(said.values()), f"{name} lacks {[key for key, value in said.items() if not value]}"
    assert all(block.body and block.source for block in preset.blocks), "each block has an answer that is played, and its source"


@pytest.mark.parametrize(
    ("tried", "meant"),
    [
        ("kimi", "moonshot"),
        ("Qwen", "dashscope"),
        ("volcengin", "ark"),
        ("nim", "nvidia"),
        ("hf", "huggingface"),
        ("opnai", "openai"),
    ],
)
def test_a_name_that_people_try_leads_to_the_vendor(tried: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=rf"{tried!r} is no provider; .*; did you mean {meant}\?"):
        parse_config({"models": [{"name": "m", "provider": tried, "model": "x"}], "judge": {"provider": "simulated", "model": "j"}})


def test_no_other_name_of_a_vendor_is_another_vendor_s_own() -> None:
    presets = load_presets()
    assert not {other for preset in presets.values() for other in preset.also_called} & set(presets)


def test_the_index_of_hosts_holds_what_the_files_say() -> None:
    """Hosts are looked up without a look into all files, so what is found there must be what a file's own parser finds."""
    for name, preset in load_presets().items():
        host = urlsplit(preset.base_url or "").hostname
        if host and host != "localhost":
            found = find_preset(f"https://{host}/v9")
            assert found is not None, name
            assert urlsplit(found.base_url or "").hostname == host, name


# ---------------------------------------------------------------- kinds of gateways' answers


SOFT = "The guardrail checks defined in the config failed."


def chat(text: str, ending: str = "stop", tokens: int = 5, **more: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": tokens, "completion_tokens": tokens, "total_tokens": 2 * tokens}
    return {"choices": [{"index": 0, "finish_reason": ending, "message": {"content": text}}], "usage": usage, **more}


def hooks(before: bool, after: bool) -> dict[str, Any]:
    return {"hook_results": {"before_request_hooks": [{"verdict": before}], "after_request_hooks": [{"verdict": after}]}}


WSO2 = {"interveningGuardrail": "pii", "action": "GUARDRAIL_INTERVENED", "direction": "RESPONSE"}
CLOUDFLARE = {"success": False, "result": [], "messages": [], "name": "AiGatewayError"}
GATEWAYS: dict[str, tuple[int, Any, str]] = {
    "a check that failed and let the answer pass": (246, chat("Hello.", **hooks(True, False)), "answered"),
    "a soft denial of the response": (200, chat(SOFT, **hooks(True, False)), "blocked_response"),
    "the same words of a model, where no check failed": (200, chat(SOFT, **hooks(True, True)), "answered"),
    "446 without known words": (446, {"code": "900514", "type": "PII", "message": WSO2}, "blocked_response"),
    "a guardrail's words, and no model was asked": (200, chat("No.", "content_filter", 0), "blocked_request"),
    "words before the filter, of a model": (200, chat("Once upon", "content_filter"), "blocked_response"),
    "a hyphen in the ending": (200, chat("", "content-filter"), "blocked_response"),
    "guardrails out of order": (503, {**CLOUDFLARE, "error": [{"code": 7013, "message": "Guardrails blocked: no scan"}]}, "failed"),
    "guardrails without credit": (402, {**CLOUDFLARE, "error": [{"code": 2021, "message": "Prompt blocked: credits"}]}, "failed"),
    "a spent budget": (412, {"status": "failure", "message": "Portkey Error: budget exhausted for this key"}, "failed"),
    "violated tool policy": (400, {"error": {"message": "Violated tool policy", "code": "400"}}, "blocked_request"),
    "violated rate policy": (400, {"error": {"message": "Violated rate limit policy", "code": "400"}}, "failed"),
}


async def test_what_gateways_say_in_place_of_a_vendor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [Case(name, "openai", status, {}, body, outcome) for name, (status, body, outcome) in GATEWAYS.items()]
    found = await played(cases, tmp_path, monkeypatch, lambda _case: {"provider": "litellm"}, play)
    assert {name: one.row.outcome for name, one in found.items()} == {case.name: case.expected for case in cases}
    assert found["guardrails out of order"].calls > 1
    assert "credit" in (found["guardrails without credit"].row.error or "")
    assert "credit" in (found["a spent budget"].row.error or "")
    assert found["a soft denial of the response"].response["text"] == "", "the gateway's sentence is judged by nobody"
    assert found["words before the filter, of a model"].response["text"] == "Once upon"


async def test_a_gateway_tells_a_calls_cost_in_a_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_tokens = 1e-5
    """What the section's prices make of the call."""
    told = {"3.45e-05": 3.45e-05, "0.0": by_tokens, "None": by_tokens, "-1": by_tokens}
    cases = [Case(cost, "openai", 200, {"x-litellm-response-cost": cost}, chat("Hello."), "answered") for cost in told]
    found = await played(cases, tmp_path, monkeypatch, lambda _case: {"provider": "litellm"}, play)
    assert {cost: one.response["cost"] for cost, one in found.items()} == pytest.approx(told)


@pytest.mark.parametrize("name", [name for name, preset in load_presets().items() if preset.server is None])
def test_each_example_section_is_a_section(name: str) -> None:
    section = tomllib.loads("\n".join(write_example(built_in_spec(name))))
    assert parse_config(section | {"judge": {"provider": "simulated", "model": "judge"}}).models
