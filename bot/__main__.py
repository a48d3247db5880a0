"""`python -m bot` is `driftcatcher`."""

from bot.cli import main

if __name__ == "__main__":
    main()
