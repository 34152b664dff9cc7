"""What a run came to, read from the cache: figures and the plain sentences that go with them. Knows no screen."""

from unisafe_async.moved import redirect

__getattr__ = redirect("unisafe_async", at=__name__, only=("Result", "load"))
