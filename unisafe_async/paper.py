"""Where the names of `unisafe_async.results.paper` were in earlier versions."""

from unisafe_async.moved import redirect

__getattr__ = redirect("unisafe_async.results.paper", at=__name__)
