"""What a run came to, read from the cache: figures and the plain sentences that go with them. Knows no screen."""
