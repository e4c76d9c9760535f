-- readmit, version 1: an open endpoint whose account says that it is connected and logged in goes on trial.
--
-- KEYS[1]  P:epoch, which fixes the cluster slot; all other keys are P plus a suffix.
-- ARGV[1]  now in ms, '' = the clock of Redis
-- ARGV[2]  prefix P
-- ARGV[3]  endpoint
-- ARGV[4]  slots per endpoint
-- ARGV[5]  'half_open', or 'closed' when the breaker is off or an operator resets it
-- ARGV[6]  '1': whatever its not_before says
--
-- Returns the breaker's state before ('open'), or '' when nothing was to do.
--
-- Makes impossible: two schedulers putting one endpoint on trial twice; a pause being skipped by a trial.

-- include: clock
local prefix, endpoint = ARGV[2], ARGV[3]
-- include: registering
local state_key = prefix .. ':state:' .. endpoint
local state = redis.call('HMGET', state_key, 'breaker', 'not_before', 'ready_at', 'bulk_ready_at')
local breaker = state[1] or 'closed'
if breaker == 'closed' or (breaker == 'half_open' and ARGV[5] ~= 'closed') then
    return ''
end
if ARGV[6] ~= '1' and now < tonumber(state[2] or '0') then
    return ''
end
local ready_at = math.max(now, tonumber(state[3] or '0'))
local bulk_ready_at = math.max(ready_at, tonumber(state[4] or '0'))
register_slots(endpoint, tonumber(ARGV[4]))
for number = 0, tonumber(ARGV[4]) - 1 do
    local slot = endpoint .. '/' .. number
    if not redis.call('ZSCORE', prefix .. ':busy', slot) then
        redis.call('ZADD', prefix .. ':rota', 'NX', ready_at, slot)
        redis.call('ZADD', prefix .. ':rota:bulk', 'NX', bulk_ready_at, slot)
    end
end
if ARGV[5] == 'half_open' then
    redis.call('HSET', prefix .. ':trials', endpoint, now)
else
    redis.call('HSET', state_key, 'reason', '')
    redis.call('HDEL', prefix .. ':trials', endpoint)
end
redis.call('HINCRBY', state_key, 'generation', 1)
redis.call('HINCRBY', prefix .. ':statistics', 'breaker_' .. ARGV[5], 1)
-- Last, since whoever finds it so does nothing; nobody takes a slot of an endpoint that is open.
redis.call('HSET', state_key, 'breaker', ARGV[5], 'since', now, 'failures', 0, 'successes', 0, 'trial_until', 0)
redis.pcall('PUBLISH', prefix .. ':wake', '1')
return breaker
