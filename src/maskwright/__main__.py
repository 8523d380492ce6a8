"""``python -m maskwright``: the command line, for ``torchrun -m maskwright`` and where the script is not on the path."""

from maskwright.cli import main

if __name__ == "__main__":
    main()
