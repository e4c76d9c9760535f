-- distrust, version 1: open a closed breaker since the account says by itself that it cannot send.
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
local state_key = prefix .. ':state:' .. endpoint
local state = redis.call('HMGET', state_key, 'breaker', 'ready_at', 'bulk_ready_at')
if (state[1] or 'closed') ~= 'closed' then
    return 0
end
local ready_at, bulk_ready_at, out = tonumber(state[2] or '0'), tonumber(state[3] or '0'), {}
for number = 0, 99 do
    local slot = endpoint .. '/' .. number
    local ready = redis.call('ZSCORE', prefix .. ':rota', slot)
    if ready then
        ready_at = math.max(ready_at, tonumber(ready))
        bulk_ready_at = math.max(bulk_ready_at, tonumber(redis.call('ZSCORE', prefix .. ':rota:bulk', slot) or ready))
        out[#out + 1] = slot
    elseif not redis.call('ZSCORE', prefix .. ':busy', slot) then
        break
    end
end
redis.call('HINCRBY', state_key, 'generation', 1)
redis.call('HSET', state_key, 'breaker', 'open', 'reason', ARGV[4], 'since', now, 'not_before', now + tonumber(ARGV[5]),
    'failures', 0, 'successes', 0, 'trial_until', 0, 'ready_at', ready_at, 'bulk_ready_at', bulk_ready_at)
-- Out of the rota once their pauses stand elsewhere.
for _, slot in ipairs(out) do
    redis.call('ZREM', prefix .. ':rota', slot)
    redis.call('ZREM', prefix .. ':rota:bulk', slot)
end
redis.call('HINCRBY', prefix .. ':statistics', 'breaker_open', 1)
return 1
