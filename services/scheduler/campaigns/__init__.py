"""The way of a campaign: ``starting`` (those for later), ``feeding`` (its chunks into Redis), ``completion`` (finished; chunks
whose entries were lost), ``ending`` (cancelled or expired)."""
