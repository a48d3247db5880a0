"""`driftcatcher`, with less patience: what is in somebody's hands for a minute is so here for some seconds."""

from __future__ import annotations

from datetime import timedelta

import bot.retraining
from bot.cli import main

bot.retraining.IN_HAND = timedelta(seconds=2)
bot.retraining.PAUSE = timedelta(seconds=1)

if __name__ == "__main__":
    main()
