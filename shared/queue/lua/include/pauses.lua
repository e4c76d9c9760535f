-- An open endpoint has no slot in the rota; its longest pauses stand in its state until it is readmitted.
local function keep_pause(state_key, ready_at, bulk_ready_at)
    local kept = redis.call('HMGET', state_key, 'ready_at', 'bulk_ready_at')
    redis.call('HSET', state_key, 'ready_at', math.max(ready_at, tonumber(kept[1] or '0')),
        'bulk_ready_at', math.max(bulk_ready_at, tonumber(kept[2] or '0')))
end
