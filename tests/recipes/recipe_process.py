"""A recipe's script as a process whose imports find stubs first; forked from one that has imported torch, it starts at once."""

import os
import runpy
import sys


def main() -> None:
    """Run `FOLDERS SCRIPT ARGUMENTS` as `python SCRIPT ARGUMENTS` would with FOLDERS, split at os.pathsep, as PYTHONPATH."""
    listed, script, *arguments = sys.argv[1:]
    folders = listed.split(os.pathsep)
    stubbed = {name.partition(".")[0] for folder in folders for name in os.listdir(folder)}
    for name in [name for name in sys.modules if name.partition(".")[0] in stubbed]:
        del sys.modules[name]
    sys.argv = [script, *arguments]
    sys.path[:0] = [os.path.dirname(script), *folders]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
