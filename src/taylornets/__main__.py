"""`python -m taylornets` is the command `taylornets`."""

from taylornets.cli import main

if __name__ == "__main__":
    main()
