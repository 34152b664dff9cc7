"""What can go wrong, as one tree: `except UnisafeError` catches all of it. Whatever else is raised is a fault of the program.

UnisafeError                      unisafe_providers/errors.py
|- ConfigError  (ValueError)      bench.toml cannot be used
|- UsageError  (ValueError)       the command line, or the arguments of a function, ask for what cannot be
|- DatasetError  (ValueError)     the dataset cannot be used
|- CacheError                     the cache file cannot be used, or has no such run, model or item
|  |- CacheBusy                   another program holds the file
|  `- Unstorable                  a value that the tables cannot hold
|- WrongShape  (ValueError)       the record of a stored run does not hold what runs write
|- VendorError                    a vendor does not do what a command asks of it, such as to cancel a batch job
|- PageError  (ValueError)        a page, a plot or a folder of images cannot be written
|- BadLine  (ValueError)          a line of a file cannot be used
|  |- ItemError                   a line of the dataset
|  `- LabelError                  a line of people's labels, or their file
|- ProviderError                  a call failed; its kinds say what the gateway does about it (unisafe_providers/base.py)
|  |- RateLimited                 wait, then try again
|  |- Transient                   try again
|  |  |- Malformed                the answer cannot be read
|  |  |- Timeout                  no answer in time
|  |  `- JobLost                  the vendor no longer has a job that it was paid for
|  |- Rejected                    this request never works
|  |  `- Cancelled                the batch job was cancelled before it came to this request
|  |- Withdrawn                   nobody began on the request, because the run is stopping
|  `- Misconfigured               this model never works
|     |- BadEnvironment           a variable of the environment is at fault
|     `- NoSuchJob                the vendor knows no such batch job
|- EndpointError                  no endpoint can be made of a section; who opens the run adds the file and the place
|- PluginError                    a package's plugin cannot be used
|- RubricError  (ValueError)      a rubric cannot be used
|- ClassifierError  (ValueError)  a classifier cannot be made as configured
|- ShardError  (ValueError)       `--shard` names no part of the items
|- NotToml  (ValueError)          a text is no TOML
|- NoSuchFile  (ValueError)       a name means no file that may be read
|  `- Outside                     the name leads out of its folder
|- NotAPicture  (ValueError)      a file is no picture that can be shown
|  |- Broken                      it is damaged
|  `- TooManyPixels               it is too large to decode
|- NoPicture                      there is no picture to show, and why
|- Unsupported                    a model on this machine cannot do what was asked, or cannot be loaded
|- NoDevice                       the device that bench.toml names is not there
|- NotEnoughMemory                the model does not fit into the device's memory
`- NotConforming  (AssertionError)  a provider breaks a rule of the conformance suite

A name in parentheses is a second base, so that `except ValueError` catches those too.
Not errors, so not in the tree: NotRun, NoIntent, Ended, MemoryRanOut, ServerDied, JobFailed and Leave say to the caller that
something was not done, on purpose.
"""

from __future__ import annotations

from unisafe_providers.errors import UnisafeError


class UsageError(UnisafeError, ValueError):
    """What was asked for cannot be: options that do not go together, or a name of nothing. The message says what would be right."""


class VendorError(UnisafeError):
    """A vendor refuses, or cannot be asked, what a command is to do there. The message names the model."""


__all__ = ["UnisafeError", "UsageError", "VendorError"]
