"""What stands in Redis and how it changes. Read: ``keys`` (everything in there), ``connection`` (with ``way_to_redis``,
``refusals`` and ``rights``: which server, and what it lets us do), ``scripts`` (how they are put together),
``enqueueing`` (gateway, scheduler), ``taking`` and ``waking`` (dispatcher), ``promoting``, ``dispatchers``, ``rota``,
``streams`` and ``rebuild`` (mostly the scheduler), ``profile_copy``, ``noting``, ``figures`` (monitor). Each step that
moves something is one Lua script in ``lua/``, whose header says what it makes impossible.

The queue only schedules. Whether a message may begin is decided in Postgres, so every entry may be enqueued, taken or
settled twice without harm.
"""
