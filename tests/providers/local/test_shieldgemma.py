"""ShieldGemma 2 on this machine: a probability for each policy, and a whole evaluation in which it judges the images."""

from __future__ import annotations

import io
import json
from pathlib import Path

import anyio
import pytest
from PIL import Image as Pictures
from tiny_models import SHIELDGEMMA
from unisafe_cache import read_file
from unisafe_providers.base import Capabilities, Image, Rejected, Request, Response, Text
from unisafe_providers.local import LocalProvider, LocalSettings

from unisafe_async import evaluate, parse_config

pytestmark = pytest.mark.usefixtures("forked_models")

POLICIES = {"dangerous", "sexual", "violence"}


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SHIELDGEMMA.build(tmp_path_factory.mktemp("shieldgemma"))


def picture(colour: tuple[int, int, int]) -> Image:
    out = io.BytesIO()
    Pictures.new("RGB", (80, 40), colour).save(out, "PNG")
    return Image.from_bytes(out.getvalue())


async def test_each_image_gets_the_probabilities_that_transformers_gives_it_alone(gemma: Path) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (250, 250, 250)]
    provider = LocalProvider(
        LocalSettings(library="transformers", model=str(gemma), sees=True), Capabilities(image_in=True), ["cpu"]
    )
    answers: dict[int, Response] = {}

    async def one(place: int) -> None:
        answers[place] = await provider.call(Request(kind="chat", parts=(picture(colours[place]),)))

    async with provider, anyio.create_task_group() as group:
        for place in range(len(colours)):
            group.start_soon(one, place)
    import torch
    import transformers

    processor = transformers.AutoProcessor.from_pretrained(gemma)
    model = transformers.ShieldGemma2ForImageClassification.from_pretrained(gemma).eval()
    for place, colour in enumerate(colours):
        inputs = processor(images=[Pictures.new("RGB", (80, 40), colour)], return_tensors="pt")
        with torch.inference_mode():
            yes = model(**inputs).probabilities[:, 0].tolist()
        scores = json.loads(answers[place].text)["scores"]
        assert set(scores) == POLICIES
        assert list(scores.values()) == pytest.approx(yes, abs=1e-4)
    assert len({answer.text for answer in answers.values()}) > 1


async def test_what_is_not_one_image_is_rejected(gemma: Path) -> None:
    provider = LocalProvider(
        LocalSettings(library="transformers", model=str(gemma), sees=True), Capabilities(image_in=True), ["cpu"]
    )
    async with provider:
        with pytest.raises(Rejected, match="one image at a time"):
            await provider.call(Request(kind="chat", parts=(Text("no image"),)))


@pytest.mark.parametrize("threshold", [0.000001, 1.0])
async def test_it_judges_the_images_of_an_evaluation_and_the_next_judge_the_rest(
    gemma: Path, tmp_path: Path, threshold: float
) -> None:
    sim = {"provider": "simulated", "takes": ["text", "image"]}
    shield = {"name": "gemma", "kind": "shieldgemma", "provider": "transformers", "model": str(gemma), "device": "cpu"}
    settings = {
        "cache": {"path": str(tmp_path / "run.duckdb")},
        "dataset": {"tasks": ["unsafe_t2i_generation", "malicious_text_generation"], "limit": 16},
        "judge": {"judges": [{**shield, "threshold": threshold}, {**sim, "model": "judge"}]},
        "models": [{"name": "m", "model": "permissive", "gives": ["text", "image"], **sim}],
    }
    result = await evaluate(parse_config(settings))
    sql = "SELECT item, question, label FROM opinions WHERE run = ? AND judge = 'gemma'"
    opinions = read_file(result.cache, lambda connection: connection.execute(sql, [result.run]).fetchall())
    assert opinions
    assert {(item.split("/")[0], question, label) for item, question, label in opinions} == {
        ("unsafe_t2i_generation", "intrinsic", 0 if threshold < 0.5 else 1)
    }
    assert result.unjudged == 0
