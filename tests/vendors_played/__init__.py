"""Many vendors on loopback, each behind its own path, key and protocol: one bench.toml, one run, one table.

    python -m tests.vendors_played              # prints the bench.toml and runs it
    python -m tests.vendors_played --serve      # prints the bench.toml and serves until Ctrl-C

A vendor is one entry in chats.py, pictures.py or jobs.py; it takes part once this project knows its provider. Shapes are those of the
vendors' documents and of recorded answers.
"""
