-- promote, version 1: move parked entries that are due into their streams, and slots whose lease ended back into the rota.
--
-- KEYS[1]  P:epoch, which fixes the cluster slot; all other keys are P plus a suffix.
-- ARGV[1]  now in ms, '' = the clock of Redis
-- ARGV[2]  prefix P
-- ARGV[3]  how many entries, and how many slots, at most
-- ARGV[4]  pause in ms before a slot whose lease ended may send again
-- ARGV[5]  open_timeout in ms of the breaker
--
-- Returns {moved, leases ended, ms until the next parked entry is due (-1: none), breakers opened, as in settle.lua}.
--
-- Makes impossible: an entry that is neither parked nor in a stream; a slot that no death can give back; a half-open
-- breaker that waits for ever for the answer to a trial.

-- include: clock
local prefix, limit = ARGV[2], tonumber(ARGV[3])
-- include: entries
-- include: giving_back
local scheduled, rota, rota_bulk, busy = prefix .. ':scheduled', prefix .. ':rota', prefix .. ':rota:bulk', prefix .. ':busy'

local due = redis.call('ZRANGEBYSCORE', scheduled, '-inf', now, 'LIMIT', 0, limit)
for _, member in ipairs(due) do
    local entry = cjson.decode(member)
    add_entry(entry.lane, entry.fields)
    redis.call('ZREM', scheduled, member)
end
if #due > 0 then
    redis.pcall('PUBLISH', prefix .. ':wake', '1')
end

local opened = {}
local ended = redis.call('ZRANGEBYSCORE', busy, '-inf', now, 'LIMIT', 0, limit)
for _, slot in ipairs(ended) do
    give_back_of_the_dead(slot, redis.call('HGET', prefix .. ':busy:owners', slot) or '', tonumber(ARGV[4]))
end

-- Half-open endpoints are few; each has a field here while it is on trial.
local trials = redis.call('HGETALL', prefix .. ':trials')
for index = 1, #trials, 2 do
    local endpoint = trials[index]
    local state_key = prefix .. ':state:' .. endpoint
    local state = redis.call('HMGET', state_key, 'breaker', 'trial_until')
    if state[1] ~= 'half_open' then
        redis.call('HDEL', prefix .. ':trials', endpoint)
    elseif tonumber(state[2] or '0') > 0 and tonumber(state[2]) <= now then
        redis.call('HINCRBY', state_key, 'generation', 1)
        redis.call('HSET', state_key, 'breaker', 'open', 'reason', 'a trial had no answer in time', 'since', now,
            'not_before', now + tonumber(ARGV[5]), 'failures', 0, 'successes', 0, 'trial_until', 0)
        redis.call('HDEL', prefix .. ':trials', endpoint)
        redis.call('HINCRBY', prefix .. ':statistics', 'breaker_open', 1)
        for number = 0, 99 do
            local slot = endpoint .. '/' .. number
            local ready_at = redis.call('ZSCORE', rota, slot)
            if ready_at then
                keep_pause(state_key, tonumber(ready_at), tonumber(redis.call('ZSCORE', rota_bulk, slot)))
                redis.call('ZREM', rota, slot)
                redis.call('ZREM', rota_bulk, slot)
            elseif not redis.call('ZSCORE', busy, slot) then
                break
            end
        end
        opened[#opened + 1] = {endpoint, 'half_open', 'open', 'a trial had no answer in time'}
    end
end

local following = redis.call('ZRANGE', scheduled, 0, 0, 'WITHSCORES')
local wait = -1
if following[2] then
    wait = math.max(0, math.ceil(tonumber(following[2]) - now))
end
return {#due, #ended, wait, opened}
