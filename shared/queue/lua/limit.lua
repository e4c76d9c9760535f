-- limit, version 1: set the caps of an endpoint, and let go what only the old ones held back.
--
-- KEYS[1]  P:epoch, which fixes the cluster slot; all other keys are P plus a suffix.
-- ARGV[1]  now in ms, '' = the clock of Redis
-- ARGV[2]  prefix P
-- ARGV[3]  endpoint
-- ARGV[4]  cap_hour, ARGV[5] cap_day, ARGV[6] bulk_cap_hour, ARGV[7] bulk_cap_day; 0: no cap
--
-- Returns 1 when a cap changed, else 0.
--
-- Makes impossible: an account that waits for the end of a cap that was lifted. A slot is moved only while it stands at the
-- time that a cap gave it; a pause is kept.

local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local prefix, endpoint = ARGV[2], ARGV[3]
local state_key = prefix .. ':state:' .. endpoint
local names = {'cap_hour', 'cap_day', 'bulk_cap_hour', 'bulk_cap_day'}
local before = redis.call('HMGET', state_key, unpack(names))
local changed = false
for index, name in ipairs(names) do
    if (before[index] or '0') ~= ARGV[3 + index] then
        changed = true
        redis.call('HSET', state_key, name, ARGV[3 + index])
    end
end
if not changed then
    return 0
end
local held = redis.call('HMGET', state_key, 'capped_until', 'bulk_capped_until')
for set, until_ms in pairs({[':rota'] = held[1] or '', [':rota:bulk'] = held[2] or ''}) do
    for number = 0, until_ms == '' and -1 or 99 do
        local slot = endpoint .. '/' .. number
        local score = redis.call('ZSCORE', prefix .. set, slot)
        if score and tonumber(score) == tonumber(until_ms) then
            redis.call('ZADD', prefix .. set, now, slot)
        elseif not score and not redis.call('ZSCORE', prefix .. ':busy', slot) then
            break
        end
    end
end
redis.call('HDEL', state_key, 'capped_until', 'bulk_capped_until')
redis.call('PUBLISH', prefix .. ':wake', '1')
return 1
