"""The way of a campaign: ``feeding`` (its chunks into Redis), ``completion`` (finished; chunks whose entries were lost),
``ending`` (cancelled or expired)."""
