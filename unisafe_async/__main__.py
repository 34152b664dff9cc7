"""`python -m unisafe_async`, as `unisafe`."""

from unisafe_async.cli import main

if __name__ == "__main__":
    main()
