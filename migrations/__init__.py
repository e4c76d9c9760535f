"""The schema as numbered SQL files, applied in order by ``python -m migrations``; forward only."""
