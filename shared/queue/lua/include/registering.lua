-- Notes that an endpoint has slots 0 to `count` - 1, before any of them is added; drop_gone.lua lowers it. Needs `prefix`.
local function register_slots(endpoint, count)
    local state_key = prefix .. ':state:' .. endpoint
    if tonumber(redis.call('HGET', state_key, 'slots') or '0') < count then
        redis.call('HSET', state_key, 'slots', count)
    end
end
