-- rebuild, version 1: make an empty or outdated Redis the one of a new epoch.
--
-- KEYS[1]  P:epoch, which fixes the cluster slot; all other keys are P plus a suffix.
-- ARGV[1]  prefix P
-- ARGV[2]  consumer group
-- ARGV[3]  the new epoch, a number that Postgres raised
-- ARGV[4]  a JSON object: slots {slot: {ready_at, bulk_ready_at}}, busy {slot: lease end}, owners {slot: token}, sends {endpoint: {token: settled at}}, states {endpoint: {field: value}},
--          profile (JSON text), version (of the profile), streams [suffix]; times in ms since 1970
--
-- Returns 1, or 0 when Redis is already of this epoch or a later one. Streams and parked entries of before are dropped:
-- what waits is enqueued anew by the scheduler's loops. The epoch is written last, so nothing is taken before.
--
-- Makes impossible: two rebuilds mixing; taking from a rota that does not know what was sent lately.

local prefix, group, epoch = ARGV[1], ARGV[2], tonumber(ARGV[3])
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local present = redis.call('HMGET', KEYS[1], 'number', 'run_id')
if present[1] and tonumber(present[1]) >= epoch and present[2] == run_id then
    return 0
end
local state = cjson.decode(ARGV[4])
for _, endpoint in ipairs(redis.call('SMEMBERS', prefix .. ':bound')) do
    redis.call('DEL', prefix .. ':endpoint:' .. endpoint .. ':transactional', prefix .. ':endpoint:' .. endpoint .. ':bulk')
end
for _, suffix in ipairs({':transactional', ':bulk', ':scheduled', ':rota', ':rota:bulk', ':busy', ':busy:owners', ':bound',
    ':trials', ':dispatchers', ':statistics', ':minutes'}) do
    redis.call('DEL', prefix .. suffix)
end
for _, suffix in ipairs(state.streams) do
    redis.call('DEL', prefix .. suffix)
    redis.call('XGROUP', 'CREATE', prefix .. suffix, group, '0', 'MKSTREAM')
end
for slot, times in pairs(state.slots) do
    redis.call('ZADD', prefix .. ':rota', times[1], slot)
    redis.call('ZADD', prefix .. ':rota:bulk', times[2], slot)
end
for slot, lease_end in pairs(state.busy) do
    redis.call('ZREM', prefix .. ':rota', slot)
    redis.call('ZREM', prefix .. ':rota:bulk', slot)
    redis.call('ZADD', prefix .. ':busy', lease_end, slot)
    -- Its assignment may still be settled, which ends the lease early; the campaigns' pause is kept for its end.
    redis.call('HSET', prefix .. ':busy:owners', slot,
        (state.owners[slot] or '') .. '||' .. (state.slots[slot] and state.slots[slot][2] or ''))
end
for endpoint, sends in pairs(state.sends) do
    redis.call('DEL', prefix .. ':sends:' .. endpoint)
    for token, settled_at in pairs(sends) do
        redis.call('ZADD', prefix .. ':sends:' .. endpoint, settled_at, token)
    end
end
for endpoint, fields in pairs(state.states) do
    redis.call('DEL', prefix .. ':state:' .. endpoint, prefix .. ':statistics:' .. endpoint)
    for name, value in pairs(fields) do
        redis.call('HSET', prefix .. ':state:' .. endpoint, name, value)
    end
end
local registered = {}
for _, slots in ipairs({state.slots, state.busy}) do
    for slot in pairs(slots) do
        local endpoint, number = string.match(slot, '^(.*)/(%d+)$')
        registered[endpoint] = math.max(registered[endpoint] or 0, tonumber(number) + 1)
    end
end
for endpoint, count in pairs(registered) do
    redis.call('HSET', prefix .. ':state:' .. endpoint, 'slots', count)
end
redis.call('HSET', prefix .. ':control', 'version', state.version, 'profile', state.profile)
redis.call('HSET', KEYS[1], 'number', ARGV[3], 'run_id', run_id)
redis.pcall('PUBLISH', prefix .. ':wake', '1')
return 1
