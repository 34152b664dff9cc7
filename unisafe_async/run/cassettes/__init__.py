"""Cassettes: the exchanges of a `doctor` run as a file that tests can play back, without keys, accounts and pictures."""
