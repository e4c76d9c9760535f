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

-- include: clock
local prefix = ARGV[2]
-- include: epoch
-- include: registering
redis.call('HSET', prefix .. ':dispatchers', ARGV[3], now)
local slots = {}
for index = 5, #ARGV do
    register_slots(ARGV[index], tonumber(ARGV[4]))
    for number = 0, tonumber(ARGV[4]) - 1 do
        slots[#slots + 1] = ARGV[index] .. '/' .. number
    end
end

local added = 0
-- In parts, since a call of Lua takes some thousand arguments at most.
for first = 1, #slots, 1000 do
    local part, named = {}, {}
    for index = first, math.min(first + 999, #slots) do
        part[#part + 1] = slots[index]
        named[#named + 1] = now
        named[#named + 1] = slots[index]
    end
    redis.call('ZADD', prefix .. ':named', unpack(named))
    local busy = redis.call('ZMSCORE', prefix .. ':busy', unpack(part))
    local ready = redis.call('ZMSCORE', prefix .. ':rota', unpack(part))
    for index, slot in ipairs(part) do
        if not busy[index] and not ready[index] then
            local endpoint = string.match(slot, '^(.*)/')
            local state = redis.call('HMGET', prefix .. ':state:' .. endpoint, 'breaker', 'ready_at', 'bulk_ready_at')
            if state[1] ~= 'open' then
                local ready_at = math.max(now, tonumber(state[2] or '0'))
                redis.call('ZADD', prefix .. ':rota', ready_at, slot)
                redis.call('ZADD', prefix .. ':rota:bulk', math.max(ready_at, tonumber(state[3] or '0')), slot)
                added = added + 1
            end
        end
    end
end
if added > 0 then
    redis.pcall('PUBLISH', prefix .. ':wake', '1')
end
return {'OK', added}
