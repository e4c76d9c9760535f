-- withdraw, version 1: take an endpoint out of the rota until it is readmitted, since an operator suspended it.
--
-- KEYS[1]  P:epoch, which fixes the cluster slot; all other keys are P plus a suffix.
-- ARGV[1]  now in ms, '' = the clock of Redis
-- ARGV[2]  prefix P
-- ARGV[3]  endpoint
-- ARGV[4]  reason
-- ARGV[5]  not_before of its state, so far away that no trial comes by itself
--
-- Returns 1, or 0 when it was withdrawn already.
--
-- Makes impossible: a slot of a suspended endpoint in the rota; its pause being forgotten meanwhile.

-- include: clock
local prefix, endpoint = ARGV[2], ARGV[3]
-- include: opening
local state = redis.call('HMGET', prefix .. ':state:' .. endpoint, 'breaker', 'not_before')
if state[1] == 'open' and state[2] == ARGV[5] then
    return 0
end
open_breaker(endpoint, state[1] or 'closed', ARGV[4], ARGV[5])
return 1
