-- take_back, version 1: a dispatcher gives back what it was given without knowing: a take was done, its answer was lost.
--
-- KEYS[1]  P:epoch, which fixes the cluster slot; all other keys are P plus a suffix.
-- ARGV[1]  now in ms, '' = the clock of Redis
-- ARGV[2]  prefix P
-- ARGV[3]  consumer group
-- ARGV[4]  dispatcher
-- ARGV[5]  what it knows to have in hand, a JSON object {tokens: {token: 1}, entries: {'<suffix> <entry id>': 1}}
-- ARGV[6+] suffixes of the streams
--
-- Returns {slots given back, entries put back}. Nothing of it was begun, so no pause and no crash is counted.
--
-- Makes impossible: accounts leased to a dispatcher that lives and does not know of it, until the lease ends; a slot or an
-- entry in its hand being taken from it.

-- include: clock
local prefix, group, dispatcher = ARGV[2], ARGV[3], ARGV[4]
-- include: pending
-- include: giving_back
local known = cjson.decode(ARGV[5])

local slots = 0
local owners = redis.call('HGETALL', prefix .. ':busy:owners')
for index = 1, #owners, 2 do
    local slot = owners[index]
    local token, owner = string.match(owners[index + 1], '^([^|]*)|([^|]*)|')
    if owner == dispatcher and not known.tokens[token] then
        local endpoint = string.match(slot, '^(.*)/')
        redis.call('ZREM', prefix .. ':sends:' .. endpoint, token)
        if give_back_unsettled(slot, owners[index + 1], now) == 'half_open' then
            redis.call('HSET', prefix .. ':state:' .. endpoint, 'trial_until', 0)
        end
        slots = slots + 1
    end
end

local entries = 0
for index = 6, #ARGV do
    local stream = prefix .. ARGV[index]
    for _, line in ipairs(pending_of(dispatcher, stream, 1000)) do
        local id = line[1]
        if not known.entries[ARGV[index] .. ' ' .. id] then
            local entry = redis.call('XRANGE', stream, id, id)[1]
            if entry then
                redis.call('XADD', stream, '*', unpack(entry[2]))
                entries = entries + 1
            end
            redis.call('XACK', stream, group, id)
            redis.call('XDEL', stream, id)
        end
    end
end
if slots > 0 or entries > 0 then
    redis.pcall('PUBLISH', prefix .. ':wake', '1')
end
return {slots, entries}
