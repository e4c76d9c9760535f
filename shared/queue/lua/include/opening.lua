-- include: pauses
-- include: slots
-- Opens the breaker of an endpoint whose breaker is `from`, wherever that is found out: what was sent before decides nothing
-- any more, its slots leave the rota once their longest pauses stand in its state, it is on trial no longer, and it counts
-- as opened unless it was open. Needs `now`, `prefix`.
local function open_breaker(endpoint, from, reason, not_before)
    local state_key, rota, rota_bulk = prefix .. ':state:' .. endpoint, prefix .. ':rota', prefix .. ':rota:bulk'
    local ready_at, bulk_ready_at, out = 0, 0, {}
    for _, slot in ipairs(slots_of(endpoint, redis.call('HGET', state_key, 'slots'))) do
        if slot[2] then
            out[#out + 1] = slot[1]
            ready_at = math.max(ready_at, slot[2])
            bulk_ready_at = math.max(bulk_ready_at, tonumber(redis.call('ZSCORE', rota_bulk, slot[1]) or slot[2]))
        end
    end
    if #out > 0 then
        keep_pause(state_key, ready_at, bulk_ready_at)
        redis.call('ZREM', rota, unpack(out))
        redis.call('ZREM', rota_bulk, unpack(out))
    end
    redis.call('HDEL', prefix .. ':trials', endpoint)
    if from ~= 'open' then
        redis.call('HINCRBY', prefix .. ':statistics', 'breaker_open', 1)
    end
    redis.call('HINCRBY', state_key, 'generation', 1)
    -- Last, since whoever finds it open does nothing.
    redis.call('HSET', state_key, 'breaker', 'open', 'reason', reason, 'since', now, 'not_before', not_before,
        'failures', 0, 'successes', 0, 'trial_until', 0)
end
