-- include: pauses
-- Ends the lease of a slot whose assignment nobody settles, and answers its endpoint's breaker. The campaigns' pause of
-- before it was taken, in its owner's last part, is kept. Needs `prefix`.
local function give_back_unsettled(slot, owner, ready_at)
    local state_key = prefix .. ':state:' .. string.match(slot, '^(.*)/')
    local bulk_ready_at = math.max(ready_at, tonumber(string.match(owner, '|([^|]*)$') or '') or 0)
    local breaker = redis.call('HGET', state_key, 'breaker') or 'closed'
    if breaker == 'open' then
        keep_pause(state_key, ready_at, bulk_ready_at)
    else
        redis.call('ZADD', prefix .. ':rota', ready_at, slot)
        redis.call('ZADD', prefix .. ':rota:bulk', bulk_ready_at, slot)
    end
    redis.call('ZREM', prefix .. ':busy', slot)
    redis.call('HDEL', prefix .. ':busy:owners', slot)
    return breaker
end

-- The same where it may have been sent just now: the caps count it from here.
local function give_back_of_the_dead(slot, owner, pause)
    redis.call('ZADD', prefix .. ':sends:' .. string.match(slot, '^(.*)/'), 'XX', now, string.match(owner, '^([^|]*)'))
    give_back_unsettled(slot, owner, now + pause)
end
