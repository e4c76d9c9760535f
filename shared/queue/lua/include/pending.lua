-- What is pending for a consumer; nothing in a stream that has no group yet. Any other error ends the script: taken for
-- nothing, the consumer would be deleted, and Redis forgets with it what it had taken. Needs `group`.
local function pending_of(consumer, stream, limit)
    local pending = redis.pcall('XPENDING', stream, group, '-', '+', limit, consumer)
    if not pending.err then
        return pending
    end
    return string.find(pending.err, 'NOGROUP', 1, true) and {} or
        redis.call('XPENDING', stream, group, '-', '+', limit, consumer)
end
