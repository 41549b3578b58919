"""`python -m dlc` is the command `dlc`."""

from dlc.cli.main import main

if __name__ == "__main__":
    main()
