"""Where the names of `unisafe_async.results.comparison` were in earlier versions."""

from unisafe_async.moved import names_of

__getattr__ = names_of("unisafe_async.results.comparison", at=__name__)
