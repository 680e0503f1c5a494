"""`python -m tongdai`: the command line."""

from tongdai.cli import main

if __name__ == "__main__":
    main()
