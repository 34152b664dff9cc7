"""What `unisafe_async` offers, each name once. `unisafe_async/__init__.py` imports this when a name is first asked for."""

from unisafe_cache import CacheError as CacheError
from unisafe_cache import Row as Row

from unisafe_async.benchmark import Dataset as Dataset
from unisafe_async.benchmark import DatasetError as DatasetError
from unisafe_async.benchmark import open_dataset as open_dataset
from unisafe_async.calibration import Agreement as Agreement
from unisafe_async.calibration import agree as agree
from unisafe_async.config.bench_toml import Config as Config
from unisafe_async.config.bench_toml import ConfigError as ConfigError
from unisafe_async.config.bench_toml import load_config as load_config
from unisafe_async.config.bench_toml import parse_config as parse_config
from unisafe_async.errors import UnisafeError as UnisafeError
from unisafe_async.errors import UsageError as UsageError
from unisafe_async.errors import VendorError as VendorError
from unisafe_async.library import Result as Result
from unisafe_async.library import evaluate as evaluate
from unisafe_async.library import load as load
from unisafe_async.results.comparison import backbones as backbones
from unisafe_async.results.comparison import duels as duels
from unisafe_async.results.comparison import paired as paired
from unisafe_async.results.filters import Where as Where
from unisafe_async.results.paper import published as published
from unisafe_async.results.ranking import ranking as read_ranking  # noqa: F401 offered under another name
from unisafe_async.results.scores import Coverage as Coverage
from unisafe_async.results.scores import Score as Score
from unisafe_async.results.scores import Share as Share
from unisafe_async.results.scores import scores as read_scores  # noqa: F401 offered under another name
from unisafe_async.run.evaluation import Run as Run
