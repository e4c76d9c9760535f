"""Queues of others that do the same sends, from the same Valkey to the same answering stub, beside RAW and our dispatcher.

Each adds its jobs, then works them off with 100 in flight, in one process on one core, and prints what it reached. They come
from their registries when this is run for the first time, into ``.installed`` here. None of them writes a row for a job, asks
whether it may still be sent, or paces an account; the dispatcher does all of that meanwhile.
"""
