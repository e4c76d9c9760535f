-- open_breaker, version 1: open a closed breaker since the account says by itself that it cannot send.
--
-- KEYS[1]  P:epoch, which fixes the cluster slot; all other keys are P plus a suffix.
-- ARGV[1]  now in ms, '' = the clock of Redis
-- ARGV[2]  prefix P
-- ARGV[3]  endpoint
-- ARGV[4]  reason
-- ARGV[5]  ms from now until the earliest trial
--
-- Returns 1, or 0 when the breaker was not closed: then others look after it.
--
-- Makes impossible: the answer to a send of before closing what was opened here, since the generation is raised; a pause
-- being forgotten while the endpoint is out of the rota.

-- include: clock
local prefix, endpoint = ARGV[2], ARGV[3]
-- include: opening
local breaker = redis.call('HGET', prefix .. ':state:' .. endpoint, 'breaker') or 'closed'
if breaker ~= 'closed' then
    return 0
end
open_breaker(endpoint, breaker, ARGV[4], now + tonumber(ARGV[5]))
return 1
