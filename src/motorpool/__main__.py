"""`python -m motorpool`, the same as `motorpool`."""

from motorpool.cli import main

if __name__ == "__main__":
    main()
