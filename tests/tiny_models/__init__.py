"""Tiny models with random weights, saved as a hub's download looks: what each family's code is tested on.

Each is built in a process forked from one that has imported torch, so a test that needs no more of it than that does not import it.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import forked_worker


@dataclass(frozen=True)
class Tiny:
    """One family's model: what `build_NAME` of that module builds."""

    module: str
    name: str

    @property
    def library(self) -> str:
        return "diffusers" if self.module == "pipelines" else "transformers"

    def build(self, folder: Path) -> Path:
        """Save it in `folder`, and say which that is."""
        command = forked_worker.standing_in("tiny_models.building", self.module, self.name, str(folder))
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return folder


LLAMA, QWEN2, QWEN3 = (Tiny("language", name) for name in ("llama", "qwen2", "qwen3"))
QWEN2_5_VL, QWEN3_VL, LLAVA = (Tiny("vision", name) for name in ("qwen2_5_vl", "qwen3_vl", "llava"))
JANUS, EMU3, CHAMELEON = (Tiny("unified", name) for name in ("janus", "emu3", "chameleon"))
SHIELDGEMMA = Tiny("shieldgemma", "shieldgemma")
(
    STABLE_DIFFUSION,
    GUARDED_STABLE_DIFFUSION,
    STABLE_DIFFUSION_XL,
    INSTRUCT_PIX2PIX,
    FLUX,
    FLUX_KONTEXT,
    QWEN_IMAGE,
    QWEN_IMAGE_EDIT,
) = (
    Tiny("pipelines", name)
    for name in (
        "stable_diffusion",
        "guarded_stable_diffusion",
        "stable_diffusion_xl",
        "instruct_pix2pix",
        "flux",
        "flux_kontext",
        "qwen_image",
        "qwen_image_edit",
    )
)
