-- drop_gone, version 1: take slots out of the rota that no dispatcher and no scheduler has named for long.
--
-- KEYS[1]  P:epoch, which fixes the cluster slot; all other keys are P plus a suffix.
-- ARGV[1]  now in ms, '' = the clock of Redis
-- ARGV[2]  prefix P
-- ARGV[3]  ms for which nobody may have named a slot before it goes
-- ARGV[4]  slots per endpoint
-- ARGV[5+] ids of the endpoints that the caller knows, which are named by this
--
-- Returns {'REBUILD'} as take.lua does, else {'OK', slots dropped ...}: at most 256 a call.
--
-- Makes impossible: a slot in use or one whose pause or cap is not over being dropped; one that two versions of the settings
-- do not agree about, as long as anybody who knows it speaks; an account that comes back before its pause is over.

-- include: clock
local prefix, after = ARGV[2], tonumber(ARGV[3])
-- include: epoch
local rota, rota_bulk, named = prefix .. ':rota', prefix .. ':rota:bulk', prefix .. ':named'
for index = 5, #ARGV do
    for number = 0, tonumber(ARGV[4]) - 1 do
        redis.call('ZADD', named, now, ARGV[index] .. '/' .. number)
    end
end
-- What nobody has ever named, such as slots of before this script, is known from now on.
for _, slot in ipairs(redis.call('ZRANGE', rota, 0, 4095)) do
    redis.call('ZADD', named, 'NX', now, slot)
end

-- Whether the endpoint has nothing to wait for: it is removed with its pauses.
local function at_rest(slot, endpoint)
    if redis.call('ZSCORE', prefix .. ':busy', slot) then
        return false
    end
    local held = redis.call('HMGET', prefix .. ':state:' .. endpoint, 'ready_at', 'bulk_ready_at')
    for _, time in ipairs({redis.call('ZSCORE', rota, slot) or '0', redis.call('ZSCORE', rota_bulk, slot) or '0',
        held[1] or '0', held[2] or '0'}) do
        if tonumber(time) > now then
            return false
        end
    end
    return true
end

-- One more than the highest slot of the endpoint that is named, in the rota or in use; see include/slots.lua.
local function slots_left(endpoint, registered)
    local left, number, there = 0, 0, nil
    repeat
        local slot = endpoint .. '/' .. number
        there = redis.call('ZSCORE', named, slot) or redis.call('ZSCORE', rota, slot)
            or redis.call('ZSCORE', prefix .. ':busy', slot)
        number = number + 1
        left = there and number or left
    until not there and number > registered
    return left
end

local dropped, endpoints = {'OK'}, {}
for _, slot in ipairs(redis.call('ZRANGEBYSCORE', named, '-inf', now - after, 'LIMIT', 0, 256)) do
    local endpoint = string.match(slot, '^(.*)/')
    if at_rest(slot, endpoint) then
        redis.call('ZREM', rota, slot)
        redis.call('ZREM', rota_bulk, slot)
        redis.call('ZREM', named, slot)
        dropped[#dropped + 1] = slot
        endpoints[endpoint] = true
    end
end
for endpoint in pairs(endpoints) do
    local state_key = prefix .. ':state:' .. endpoint
    local registered = tonumber(redis.call('HGET', state_key, 'slots') or '0')
    local left = slots_left(endpoint, registered)
    if left == 0 then
        redis.call('DEL', state_key, prefix .. ':statistics:' .. endpoint, prefix .. ':sends:' .. endpoint)
        redis.call('HDEL', prefix .. ':trials', endpoint)
    elseif left < registered then
        redis.call('HSET', state_key, 'slots', left)
    end
end
return dropped
