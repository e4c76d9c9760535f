-- mark_beat, version 1: write the beat number that a scheduler has raised in Postgres, unless a higher one is here.
--
-- KEYS[1]  P:epoch, which fixes the cluster slot
-- ARGV[1]  the number, committed in Postgres
--
-- Returns 1, or 0 when this very number is here already: each is given once, so another Postgres gave it as well.
--
-- Makes impossible: the number going back in Redis, which would hide that Postgres did.

local present, number = tonumber(redis.call('HGET', KEYS[1], 'beat') or '0'), tonumber(ARGV[1])
if present < number then
    redis.call('HSET', KEYS[1], 'beat', ARGV[1])
end
return present == number and 0 or 1
