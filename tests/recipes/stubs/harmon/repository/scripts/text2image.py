raise AssertionError("the script of the public repository is read, never run")

args.prompt = f"words of the stub: {args.prompt}"  # noqa: F821
