"""What a run came to, read from the cache: figures and the plain sentences that go with them. Knows no screen."""

from unisafe_async.moved import names_of

__getattr__ = names_of("unisafe_async", at=__name__, only=("Result", "load"))
