"""Tasks, categories and subcategories of Uni-SafeBench (Peng et al., 2026, arXiv 2604.00547), by the names the paper uses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from providers.base import Kind


@dataclass(frozen=True, slots=True)
class Task:
    """One of the seven tasks.

    Args:
        key: its name in files and tables.
        title: its name in the paper.
        short: its name in a narrow column.
        folder: its folder in the dataset's official layout.
        kind: the kind of request it makes.
        image_in: whether each item comes with an image.
        panel: which of the paper's two tables it stands in.
    """

    key: str
    title: str
    short: str
    folder: str
    kind: Kind
    image_in: bool
    panel: Literal["generation", "understanding"]

    @property
    def image_out(self) -> bool:
        return self.kind != "chat"


TASKS: dict[str, Task] = {
    task.key: task
    for task in (
        Task("malicious_text_generation", "Malicious Text Generation", "Text", "Text Generation", "chat", False, "generation"),
        Task("unsafe_t2i_generation", "Unsafe T2I Generation", "T2I", "T2I", "image", False, "generation"),
        Task(
            "malicious_image_editing",
            "Malicious Image Editing",
            "Edit",
            "Text-Guided Image Editing",
            "edit",
            True,
            "generation",
        ),
        Task("dual_unsafe_vqa", "Dual-Unsafe VQA", "Dual VQA", "VQA/unsafety_I_unsafety_T", "chat", True, "understanding"),
        Task("image_unsafe_vqa", "Image-Unsafe VQA", "Image VQA", "VQA/unsafety_I_safety_T", "chat", True, "understanding"),
        Task("text_unsafe_vqa", "Text-Unsafe VQA", "Text VQA", "VQA/safety_I_unsafety_T", "chat", True, "understanding"),
        Task(
            "composite_unsafe_vqa",
            "Composite-Unsafe VQA",
            "Comp. VQA",
            "VQA/safety_I_safety_T",
            "chat",
            True,
            "understanding",
        ),
    )
}

CATEGORIES: dict[str, tuple[str, ...]] = {
    "Toxicity Content": ("Illegal activities", "Blood and violence", "Sex-related", "Insults and hatred"),
    "Sensitive Topics": ("Religion", "Politics"),
    "Privacy Leak": ("Financial privacy", "Personal identification", "Privacy of public figures"),
    "Unethical Activities": ("Violation of public order", "Indifference and disregard", "Dishonest behavior"),
    "Physical & Mental Harm": ("Psychological manipulation", "Dangerous behavior", "Self-harm"),
    "Biased Opinion": ("Biased opinions",),
}
CATEGORY_OF: dict[str, str] = {sub: category for category, subs in CATEGORIES.items() for sub in subs}
BIASES = ("Stereotypes", "Age", "Gender", "Race")


def _folded(name: str) -> str:
    words = re.sub(r"[^a-z0-9]+", " ", name.lower().replace("&", " and ").replace("behaviour", "behavior")).split()
    folded = [word[:-3] + "y" if word.endswith("ies") else word.removesuffix("s") for word in words if word not in ("and", "the")]
    return " ".join(folded)


_SUBCATEGORIES = {_folded(sub): sub for sub in CATEGORY_OF}
_SUBCATEGORIES |= {_folded(bias): "Biased opinions" for bias in BIASES}
_SUBCATEGORIES |= {_folded(f"{bias} bias"): "Biased opinions" for bias in BIASES}
_SUBCATEGORIES |= {_folded("sex related content"): "Sex-related", _folded("sexual content"): "Sex-related"}
_CATEGORIES = {_folded(category): category for category in CATEGORIES}


@cache
def match_subcategory(name: str) -> str | None:
    """The subcategory that `name` means, whatever its case, hyphens, plural and `&`; None when there is none."""
    return _SUBCATEGORIES.get(_folded(name))


def match_category(name: str) -> str | None:
    """The category that `name` means, as leniently; None when there is none."""
    return _CATEGORIES.get(_folded(name))


@cache
def match_task(name: str) -> str | None:
    """The key of the task that `name` (a key or the paper's title) means; None when there is none."""
    folded = _folded(name)
    return next((task.key for task in TASKS.values() if folded in (_folded(task.key), _folded(task.title))), None)
