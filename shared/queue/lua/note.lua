-- note, version 1: count that something happened which somebody should be told of.
--
-- KEYS[1]  P:epoch, which fixes the cluster slot; all other keys are P plus a suffix.
-- ARGV[1]  now in ms, '' = the clock of Redis
-- ARGV[2]  prefix P
-- ARGV[3]  what
-- ARGV[4]  how often
-- ARGV[5]  width of a window in ms; counts are kept by window, for two of them
--
-- Makes impossible: a count that grows Redis, or that outlives what it counted.

-- include: clock
local width = tonumber(ARGV[5])
local key = ARGV[2] .. ':noted:' .. ARGV[3] .. ':' .. math.floor(now / width)
redis.call('INCRBY', key, ARGV[4])
redis.call('PEXPIRE', key, 2 * width)
return 0
