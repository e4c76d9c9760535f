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
local state_key = prefix .. ':state:' .. endpoint
local state = redis.call('HMGET', state_key, 'breaker', 'not_before', 'ready_at')
if state[1] == 'open' and state[2] == ARGV[5] then
    return 0
end
local ready_at, out = tonumber(state[3] or '0'), {}
for number = 0, 99 do
    local slot = endpoint .. '/' .. number
    local ready = redis.call('ZSCORE', prefix .. ':rota:bulk', slot)
    if ready then
        ready_at = math.max(ready_at, tonumber(ready))
        out[#out + 1] = slot
    elseif not redis.call('ZSCORE', prefix .. ':busy', slot) then
        break
    end
end
redis.call('HINCRBY', state_key, 'generation', 1)
redis.call('HSET', state_key, 'breaker', 'open', 'reason', ARGV[4], 'since', now, 'not_before', ARGV[5], 'failures', 0,
    'successes', 0, 'trial_until', 0, 'ready_at', string.format('%.0f', ready_at))
-- Out of the rota once their pause stands elsewhere.
for _, slot in ipairs(out) do
    redis.call('ZREM', prefix .. ':rota', slot)
    redis.call('ZREM', prefix .. ':rota:bulk', slot)
end
redis.call('HDEL', prefix .. ':trials', endpoint)
return 1
