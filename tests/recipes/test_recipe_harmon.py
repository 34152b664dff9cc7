from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from recipe_cases import RecipeCases
from served_recipe import Stuck, serve

TENSORS = {"proj_in.weight": torch.ones(1, 1), "proj_in.bias": torch.ones(1)}


class TestHarmon(RecipeCases):
    recipe, script = "harmon", "serve_harmon.py"
    options: ClassVar[dict[str, Any]] = {"dtype": "float32", "attention": "sdpa"}
    control: ClassVar = ["<image>", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|vision_start|>"]
    size = (512, 512)
    parameters: ClassVar = {"guidance", "steps", "config", "attention", "vae_revision", "weights", "tensors_not_in_the_file"}

    @classmethod
    def make_places(cls, folder: Path) -> dict[str, Path]:
        places = {"weights": folder / "harmon_1.5b.pth", "vae": folder / "kl16.ckpt"}
        torch.save(TENSORS, places["weights"])
        places["vae"].touch()
        return places

    @pytest.mark.parametrize("tensors", [{"proj_in.weight": torch.ones(1, 1)}, {**TENSORS, "another.weight": torch.ones(1)}])
    def test_weights_of_another_model_end_the_script_before_it_is_ready(self, tmp_path: Path, tensors: dict[str, Any]) -> None:
        places = self.make_places(tmp_path)
        torch.save(tensors, places["weights"])
        with pytest.raises(Stuck, match="the weights do not fit"), serve(*self.command(places), self.options, tmp_path):
            raise AssertionError("it said that it is ready")
