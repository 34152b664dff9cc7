"""Models on this machine: each one in a process of its own, fed in batches.

    LocalProvider (provider.py)      one model behind `call`, as every provider; loads at the first call, gives memory back
      WorkerProcess (process.py)     one process on one device, and the calls that wait for it
        worker.py                    that process: a pool of requests, batches (batches.py), an engine
          loading.py                 transformers: which engine runs a model
          language.py, unified.py    transformers: text, images in, images out
          rows.py, image_tokens.py   a batch's rows, each to its own end; how long images are
          pipeline.py                diffusers: images out, edits

A process of its own keeps torch off the event loop, gives back all memory when it ends, and takes nothing with it when it dies.
Nothing of torch is imported on this side.
"""

from unisafe_providers.local.provider import LocalProvider
from unisafe_providers.local.settings import LocalSettings

__all__ = ["LocalProvider", "LocalSettings"]
