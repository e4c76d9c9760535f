-- set_caps, version 1: set the caps of an endpoint, and let go what only the old ones held back.
--
-- KEYS[1]  P:epoch, which fixes the cluster slot; all other keys are P plus a suffix.
-- ARGV[1]  now in ms, '' = the clock of Redis
-- ARGV[2]  prefix P
-- ARGV[3]  endpoint
-- ARGV[4]  cap_hour, ARGV[5] cap_day, ARGV[6] bulk_cap_hour, ARGV[7] bulk_cap_day; 0: no cap
-- ARGV[8]  a JSON list of how many ms ago the endpoint sent each message of the last day; heeded where it had no cap
--          before, for then nobody has counted
--
-- Returns 1 when a cap changed, else 0.
--
-- Makes impossible: an account that waits for the end of a cap that was lifted; one that gets its first cap on top of
-- what it has sent already; a pause cut short, since a slot is moved only while it stands at the time that a cap gave it.

-- include: clock
local prefix, endpoint = ARGV[2], ARGV[3]
-- include: slots
local state_key = prefix .. ':state:' .. endpoint
local names = {'cap_hour', 'cap_day', 'bulk_cap_hour', 'bulk_cap_day'}
local before = redis.call('HMGET', state_key, unpack(names))
local changed = false
for index, name in ipairs(names) do
    if (before[index] or '0') ~= ARGV[3 + index] then
        changed = true
    end
end
if not changed then
    return 0
end
local function none(hour, day)
    return tonumber(hour or '0') == 0 and tonumber(day or '0') == 0
end
local held = redis.call('HMGET', state_key, 'capped_until', 'bulk_capped_until', 'slots')
local slots = slots_of(endpoint, held[3])
if none(before[1], before[2]) and not none(ARGV[4], ARGV[5]) then
    local sends = prefix .. ':sends:' .. endpoint
    redis.call('DEL', sends)
    for index, age in ipairs(cjson.decode(ARGV[8])) do
        redis.call('ZADD', sends, now - age, 'before-' .. index)
    end
    -- What is in hand was taken uncounted.
    for _, slot in ipairs(slots) do
        local owner = not slot[2] and redis.call('HGET', prefix .. ':busy:owners', slot[1])
        if owner then
            redis.call('ZADD', sends, now, string.match(owner, '^([^|]*)|'))
        end
    end
end
for set, until_ms in pairs({[':rota'] = held[1] or nil, [':rota:bulk'] = held[2] or nil}) do
    for _, slot in ipairs(slots) do
        local score = redis.call('ZSCORE', prefix .. set, slot[1])
        if score and tonumber(score) == tonumber(until_ms) then
            redis.call('ZADD', prefix .. set, now, slot[1])
        end
    end
end
redis.call('HDEL', state_key, 'capped_until', 'bulk_capped_until')
-- Last, since whoever finds them as they should be does nothing.
for index, name in ipairs(names) do
    redis.call('HSET', state_key, name, ARGV[3 + index])
end
redis.pcall('PUBLISH', prefix .. ':wake', '1')
return 1
