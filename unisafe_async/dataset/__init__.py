"""Items: where they come from, and whether they are sound."""

from providers.lines import Problem
from unisafe_async.dataset.dataset import Dataset, DatasetError
from unisafe_async.dataset.images import Images
from unisafe_async.dataset.item import Item, ItemError
from unisafe_async.dataset.sources import open_dataset

__all__ = ["Dataset", "DatasetError", "Images", "Item", "ItemError", "Problem", "open_dataset"]
