"""The whole program on one GPU: checks that each run in a process of their own, and one table of what was seen.

__main__.py     the command: which checks, on what, and the table
checks.py       the checks by name, with their time limits
running.py      a check's process: started, watched, ended with all that it started
one.py          that process
place.py        what a check gets, and what it gives back
models.py       the models: tiny ones, SmolLM2, random weights in the shape of Qwen3-8B
asking.py       a provider that notes its batches and processes, and many requests at once
batching.py, answers.py, failing.py, memory.py    the checks themselves
table.py        the card, the versions, and Markdown
"""
