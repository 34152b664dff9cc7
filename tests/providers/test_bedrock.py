"""Amazon Bedrock: what is asked, how requests are signed, and what is said about wrong credentials."""

from __future__ import annotations

import base64
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from unisafe_providers.base import Capabilities, Image, Misconfigured, Request, Response, Text
from unisafe_providers.hosted.aws import Signer
from unisafe_providers.hosted.bedrock import Bedrock, Guardrail
from unisafe_providers.hosted.bedrock_pictures import BedrockPictures
from unisafe_providers.hosted.usage import usage_of
from vendors.bedrock import KEY_ID, REGION, SECRET, TOKEN, BedrockServer, answer, error
from vendors.server import KEY, Reply

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR4nGOoWHACK2IYWhIAz3p4Aasum28AAAAASUVORK5CYII=")
PICTURE = Image.from_bytes(PNG)
HELLO = Request(kind="chat", parts=(Text("hello"),))
SEES = Capabilities(image_in=True)
DRAWS = Capabilities(text_out=False, image_out=True, edit=True)
CLAUDE = "us.anthropic.claude-sonnet-5-v1:0"
PROFILE_ARN = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/ab12cd34ef56"
SCHEMA = ("verdict", '{"type":"object"}')


@pytest.fixture(autouse=True)
def no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's AWS set-up."""
    for name in (
        "AWS_PROFILE",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def put_credentials(monkeypatch: pytest.MonkeyPatch, token: str = TOKEN) -> None:
    for name, value in (("AWS_ACCESS_KEY_ID", KEY_ID), ("AWS_SECRET_ACCESS_KEY", SECRET), ("AWS_SESSION_TOKEN", token)):
        monkeypatch.setenv(name, value)


def renewing(folder: Path, *, lives: float = 7200.0) -> Path:
    """A profile whose credentials come from a program, with another session each time; returns the count of its calls."""
    until = (datetime.now(UTC) + timedelta(seconds=lives)).strftime("%Y-%m-%dT%H:%M:%SZ")
    count, script = folder / "count", folder / "give.sh"
    script.write_text(
        f"n=$(cat {count} 2>/dev/null || echo 0); n=$((n+1)); echo $n > {count}\n"
        f'echo "{{\\"Version\\":1,\\"AccessKeyId\\":\\"{KEY_ID}\\",\\"SecretAccessKey\\":\\"{SECRET}\\",'
        f'\\"SessionToken\\":\\"session-number-$n-0123456789\\",\\"Expiration\\":\\"{until}\\"}}"\n'
    )
    (folder / "config").write_text(f"[profile lab]\ncredential_process = sh {script}\n")
    return count


def session(number: int) -> str:
    return f"session-number-{number}-0123456789"


# ---------------------------------------------------------------- what is asked


async def test_a_chat_is_asked_by_converse_with_its_pictures_and_settings() -> None:
    request = Request(
        kind="chat", parts=(PICTURE, Text("What is this?")), system="Be brief.", max_tokens=64, temperature=0.5, top_p=0.9,
        schema=SCHEMA,
    )  # fmt: skip
    guardrail = Guardrail("g1", "2")
    extra = {"additionalModelRequestFields": {"top_k": 5}, "inferenceConfig": {"stopSequences": ["END"]}}
    async with BedrockServer(answer()) as server, Bedrock(
        CLAUDE, server.url, KEY, SEES, guardrail=guardrail, extra=extra
    ) as provider:  # fmt: skip
        assert (await provider.call(request)).text == "Hello."
    assert server.places == ["/model/us.anthropic.claude-sonnet-5-v1:0/converse"]
    assert server.asked[0].body == {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"image": {"format": "png", "source": {"bytes": base64.b64encode(PNG).decode()}}},
                    {"text": "What is this?"},
                ],
            }
        ],
        "system": [{"text": "Be brief."}],
        "inferenceConfig": {"maxTokens": 64, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]},
        "guardrailConfig": {"guardrailIdentifier": "g1", "guardrailVersion": "2", "trace": "enabled"},
        "additionalModelResponseFieldPaths": ["/stop_details"],
        "outputConfig": {
            "textFormat": {
                "type": "json_schema",
                "structure": {"jsonSchema": {"name": "verdict", "schema": '{"type":"object"}'}},
            }
        },
        "additionalModelRequestFields": {"top_k": 5},
    }


async def test_an_arn_is_one_part_of_the_path() -> None:
    async with BedrockServer(answer()) as server, Bedrock(PROFILE_ARN, server.url, KEY, SEES) as provider:
        await provider.call(HELLO)
    assert server.places == [f"/model/{PROFILE_ARN.replace('/', '%2F')}/converse"]
    assert "additionalModelResponseFieldPaths" not in server.asked[0].body


@pytest.mark.parametrize(
    "words",
    [
        "The model returned the following errors: output_config.format: Extra inputs are not permitted",
        "This model doesn't support the outputConfig.textFormat field. Remove outputConfig.textFormat and try again.",
    ],
)
async def test_a_model_that_takes_no_schema_is_asked_without_and_the_run_says_so(words: str) -> None:
    refusing = error("ValidationException", words, 400)
    async with BedrockServer(refusing, answer()) as server, Bedrock(CLAUDE, server.url, KEY, SEES) as provider:
        for _ in range(2):
            assert (await provider.call(Request(kind="chat", parts=(Text("hello"),), schema=SCHEMA))).text == "Hello."
    assert ["outputConfig" in asked.body for asked in server.asked] == [True, False, False]
    assert [note for note in provider.notes if "outputConfig" in note] == [
        f"{CLAUDE} takes no outputConfig with a schema: it was asked without"
    ]


async def test_models_that_differ_in_a_guardrail_are_two_models() -> None:
    def identity(guardrail: Guardrail | None) -> str:
        return Bedrock(CLAUDE, "https://bedrock-runtime.us-east-1.amazonaws.com", KEY, SEES, guardrail=guardrail).identity

    assert len({identity(None), identity(Guardrail("g1")), identity(Guardrail("g1", "2")), identity(Guardrail("g2"))}) == 4
    assert KEY not in identity(Guardrail("g1"))


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"inputTokens": 3, "outputTokens": 1, "totalTokens": 1504, "cacheReadInputTokens": 1500, "cacheReadInputTokenCount": 1500}, (1503, 1)),
        ({"inputTokens": 3, "outputTokens": 1, "cacheWriteInputTokenCount": 7}, (10, 1)),
        ({"inputTokens": 1503, "outputTokens": 1, "totalTokens": 1504, "cacheReadInputTokens": 1500}, (1503, 1)),
    ],
)  # fmt: skip
def test_cached_tokens_are_counted_once(usage: dict[str, int], tokens: tuple[int, int]) -> None:
    found = usage_of(usage)
    assert (found.tokens_in, found.tokens_out) == tokens


async def test_masked_words_are_noted_and_are_no_block() -> None:
    hit = {
        "g1": {"sensitiveInformationPolicy": {"piiEntities": [{"type": "EMAIL", "match": "a@b.example", "action": "ANONYMIZED"}]}}
    }
    masked = answer("Write to {EMAIL}.", "guardrail_intervened", trace={"guardrail": {"inputAssessment": hit}})
    async with BedrockServer(masked) as server, Bedrock(CLAUDE, server.url, KEY, SEES) as provider:
        response = await provider.call(HELLO)
    assert (response.text, response.finish) == ("Write to {EMAIL}.", "stop")
    assert "EMAIL" in response.reason
    assert "a@b.example" not in response.reason
    assert [note for note in provider.notes if "masked" in note]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("The model returned the following errors: top_k: Extra inputs are not permitted", "extra.additionalModelRequestFields.top_k"),
        ("Malformed input request: #: extraneous key [style] is not permitted, please reformat your input.", "extra_chat.style"),
        ("Malformed input request: #/inferenceConfig/maxTokens: 9000 is not less or equal to 5000", "max_tokens"),
        ("The maximum tokens you requested exceeds the model limit of 8192. Try again with a lower value.", "max_tokens"),
    ],
)  # fmt: skip
async def test_a_setting_that_the_model_does_not_take_is_named_as_bench_toml_has_it(words: str, named: str) -> None:
    refusing = error("ValidationException", words, 400)
    options: dict[str, Any] = {
        "extra": {"additionalModelRequestFields": {"top_k": 5}},
        "extra_by_kind": {"chat": {"style": "plain"}},
    }
    asked = Request(kind="chat", parts=(Text("hello"),), max_tokens=9000)
    async with BedrockServer(refusing) as server, Bedrock(CLAUDE, server.url, KEY, SEES, **options) as provider:
        with pytest.raises(Misconfigured, match=named.replace(".", r"\.")):
            await provider.call(asked)


# ---------------------------------------------------------------- pictures

DRAWN = {"images": [base64.b64encode(PNG).decode()]}
IMAGE = Request(kind="image", parts=(Text("a garden"),), size="1024x768", seed=7)
EDIT = Request(kind="edit", parts=(PICTURE, Text("more light")), size="1024x768")
B64 = base64.b64encode(PNG).decode()


@pytest.mark.parametrize(
    ("model", "request_", "more", "body"),
    [
        ("amazon.nova-canvas-v1:0", IMAGE, {}, {
            "taskType": "TEXT_IMAGE", "textToImageParams": {"text": "a garden"},
            "imageGenerationConfig": {"numberOfImages": 1, "width": 1024, "height": 768, "seed": 7},
        }),
        ("us.amazon.nova-canvas-v1:0", EDIT, {}, {
            "taskType": "IMAGE_VARIATION", "imageVariationParams": {"text": "more light", "images": [B64]},
            "imageGenerationConfig": {"numberOfImages": 1, "width": 1024, "height": 768},
        }),
        ("amazon.titan-image-generator-v2:0", EDIT, {"mask_prompt": "the sky"}, {
            "taskType": "INPAINTING", "inPaintingParams": {"text": "more light", "image": B64, "maskPrompt": "the sky"},
            "imageGenerationConfig": {"numberOfImages": 1},
        }),
        ("amazon.nova-canvas-v1:0", IMAGE, {"extra": {"imageGenerationConfig": {"quality": "premium"}}}, {
            "taskType": "TEXT_IMAGE", "textToImageParams": {"text": "a garden"},
            "imageGenerationConfig": {"numberOfImages": 1, "width": 1024, "height": 768, "seed": 7, "quality": "premium"},
        }),
        ("stability.sd3-5-large-v1:0", IMAGE, {}, {
            "prompt": "a garden", "output_format": "png", "seed": 7, "aspect_ratio": "5:4",
        }),
        ("eu.stability.stable-image-ultra-v1:1", EDIT, {"extra_by_kind": {"edit": {"strength": 0.4}}}, {
            "prompt": "more light", "output_format": "png", "image": B64, "mode": "image-to-image", "strength": 0.4,
        }),
        ("us.stability.stable-image-inpaint-v1:0", EDIT, {}, {"prompt": "more light", "output_format": "png", "image": B64}),
        ("arn:aws:bedrock:us-east-1:1:provisioned-model/x", IMAGE, {"family": "sdxl"}, {
            "text_prompts": [{"text": "a garden"}], "seed": 7, "width": 1024, "height": 768,
        }),
    ],
)  # fmt: skip
async def test_each_family_of_models_is_asked_in_its_own_words(
    model: str, request_: Request, more: dict[str, Any], body: dict[str, Any]
) -> None:
    async with BedrockServer(Reply(DRAWN)) as server, BedrockPictures(model, server.url, KEY, DRAWS, **more) as provider:
        response = await provider.call(request_)
    assert len(response.images) == 1
    assert server.asked[0].path.endswith("/invoke")
    assert server.asked[0].body == body


async def test_a_guardrail_checks_pictures_by_its_headers() -> None:
    async with BedrockServer(Reply(DRAWN)) as server, BedrockPictures(
        "amazon.nova-canvas-v1:0", server.url, KEY, DRAWS, guardrail=Guardrail("g1", "3")
    ) as provider:  # fmt: skip
        await provider.call(IMAGE)
    headers = server.asked[0].headers
    names = ("x-amzn-bedrock-guardrailidentifier", "x-amzn-bedrock-guardrailversion", "x-amzn-bedrock-trace")
    assert [headers[name] for name in names] == ["g1", "3", "ENABLED"]


async def test_a_size_that_is_not_drawn_is_said_with_those_that_are() -> None:
    wrong = Request(kind="image", parts=(Text("a garden"),), size="1000x100")
    async with BedrockPictures("amazon.nova-canvas-v1:0", "http://127.0.0.1:9", KEY, DRAWS) as provider:
        with pytest.raises(Misconfigured, match=r"1000x100.*320 to 4096.*generation\.image_size"):
            await provider.call(wrong)


# ---------------------------------------------------------------- signed requests


@pytest.mark.parametrize("model", [CLAUDE, PROFILE_ARN])
@pytest.mark.parametrize("way", ["straight", "through a proxy"])
async def test_a_signature_is_of_what_arrives(way: str, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put_credentials(monkeypatch)
    async with BedrockServer(answer("Grüße."), sessions=(TOKEN,)) as server:
        url = server.url
        if way == "through a proxy":
            monkeypatch.setenv("HTTP_PROXY", url)
            url = "http://bedrock.invalid/from/here"
        async with Bedrock(model, url, "", SEES, signer=Signer(REGION)) as provider:
            response = await provider.call(Request(kind="chat", parts=(Text("Grüße, 世界"), PICTURE)))
    assert response.text == "Grüße."
    assert server.faults == [""]
    assert SECRET not in repr(server.asked)


async def test_credentials_that_expired_are_renewed_once(tmp_path: Path) -> None:
    count = renewing(tmp_path)
    async with BedrockServer(answer(), sessions=(session(2),)) as server, Bedrock(
        CLAUDE, server.url, "", SEES, signer=Signer(REGION, "lab")
    ) as provider:  # fmt: skip
        async with anyio.create_task_group() as calls:
            for _ in range(6):
                calls.start_soon(provider.call, HELLO)
        assert count.read_text().strip() == "2", "whoever found the old session expired took the same new one"
        server.sessions = [session(9)]
        with pytest.raises(Misconfigured, match=r"expired.*renew or check the AWS credentials of profile 'lab'") as caught:
            await provider.call(HELLO)
        assert count.read_text().strip() == "2", "nor is it looked for again and again"
    assert set(server.faults) == {""}
    assert session(2) not in str(caught.value), "the endpoint told the session's token"


async def test_credentials_that_live_for_minutes_are_not_fetched_for_every_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = renewing(tmp_path, lives=300.0)
    async with BedrockServer(answer(), sessions=tuple(map(session, range(9)))) as server, Bedrock(
        CLAUDE, server.url, "", SEES, signer=Signer(REGION, "lab")
    ) as provider:  # fmt: skip
        fetched = int(count.read_text())
        for _ in range(3):
            assert isinstance(await provider.call(HELLO), Response)
        assert int(count.read_text()) == fetched
        monkeypatch.setattr("unisafe_providers.hosted.aws.PAUSE", -1.0)  # half a minute is over
        await provider.call(HELLO)
        assert int(count.read_text()) == fetched + 1
        server.sessions = [session(99)]
        with pytest.raises(Misconfigured) as caught:
            await provider.call(HELLO)
    assert set(server.faults) == {""}
    assert "session-number" not in str(caught.value), "nor is a token told that came later"


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ("", r"no AWS credentials were found: set AWS_BEARER_TOKEN_BEDROCK.*AWS_ACCESS_KEY_ID.*`profile`"),
        ("nobody", r"AWS credentials of profile 'nobody' cannot be used: .*ProfileNotFound.*check `profile`"),
    ],
)
async def test_without_credentials_one_sentence_says_what_is_missing(profile: str, words: str) -> None:
    signer = Signer(REGION, profile, "set AWS_BEARER_TOKEN_BEDROCK to a Bedrock key, ")
    with pytest.raises(Misconfigured, match=words):
        async with Bedrock(CLAUDE, "http://127.0.0.1:9", "", SEES, signer=signer):
            pass


async def test_without_the_extra_one_sentence_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(Misconfigured, match=r"pip install 'unisafe-async\[aws\]'"):
        async with Bedrock(CLAUDE, "http://127.0.0.1:9", "", SEES, signer=Signer(REGION)):
            pass


async def test_a_wrong_key_is_said_to_be_one() -> None:
    async with BedrockServer(answer(), key="another") as server, Bedrock(CLAUDE, server.url, KEY, SEES) as provider:
        with pytest.raises(Misconfigured, match=r"refused the key.*`key_env`"):
            await provider.call(HELLO)
