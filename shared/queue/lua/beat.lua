-- beat, version 1: a dispatcher says that it lives, names the slots of its endpoints and adds those that nobody has.
--
-- KEYS[1]  P:epoch, which fixes the cluster slot; all other keys are P plus a suffix.
-- ARGV[1]  now in ms, '' = the clock of Redis
-- ARGV[2]  prefix P
-- ARGV[3]  dispatcher
-- ARGV[4]  slots per endpoint
-- ARGV[5+] ids of the endpoints that it knows
--
-- Returns {'REBUILD'} as take.lua does (a beat must not fill a rota whose pauses are lost), else {'OK', slots added}.
--
-- Makes impossible: an endpoint of the settings that never gets a turn; a slot of an open endpoint coming back early.

local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local prefix = ARGV[2]
local epoch = redis.call('HMGET', KEYS[1], 'number', 'run_id')
if not epoch[1] or epoch[2] ~= string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') then
    return {'REBUILD'}
end
redis.call('HSET', prefix .. ':dispatchers', ARGV[3], now)
local added = 0
for index = 5, #ARGV do
    local endpoint = ARGV[index]
    for number = 0, tonumber(ARGV[4]) - 1 do
        redis.call('ZADD', prefix .. ':named', now, endpoint .. '/' .. number)
    end
    local state = redis.call('HMGET', prefix .. ':state:' .. endpoint, 'breaker', 'ready_at', 'bulk_ready_at')
    if state[1] ~= 'open' then
        for number = 0, tonumber(ARGV[4]) - 1 do
            local slot = endpoint .. '/' .. number
            if not redis.call('ZSCORE', prefix .. ':busy', slot) and not redis.call('ZSCORE', prefix .. ':rota', slot) then
                local ready_at = math.max(now, tonumber(state[2] or '0'))
                redis.call('ZADD', prefix .. ':rota', ready_at, slot)
                redis.call('ZADD', prefix .. ':rota:bulk', math.max(ready_at, tonumber(state[3] or '0')), slot)
                added = added + 1
            end
        end
    end
end
return {'OK', added}
