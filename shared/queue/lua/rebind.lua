-- rebind, version 1: move entries bound to an endpoint that cannot send to the lanes that all endpoints read.
--
-- KEYS[1]  P:epoch, which fixes the cluster slot; all other keys are P plus a suffix.
-- ARGV[1]  prefix P
-- ARGV[2]  consumer group
-- ARGV[3]  endpoint
-- ARGV[4]  lane
-- ARGV[5]  how many at most
--
-- Returns how many were moved. Entries whose caller chose the endpoint stay; so do those in a dispatcher's hand.
--
-- Makes impossible: an entry waiting for ever for an account that does not come back, or lost on the way.

local prefix, group, endpoint, lane = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local stream = prefix .. ':endpoint:' .. endpoint .. ':' .. lane
local limit = tonumber(ARGV[5])
local moved, from = 0, '-'
local in_hand = {}
local pending = redis.pcall('XPENDING', stream, group, '-', '+', 1000)
if pending.err then
    -- No group yet: nobody has taken anything. Any other error ends the script.
    pending = string.find(pending.err, 'NOGROUP', 1, true) and {} or redis.call('XPENDING', stream, group, '-', '+', 1000)
end
for _, line in ipairs(pending) do
    in_hand[line[1]] = true
end
-- Those that stay must not hide what lies behind them; ten pages bound the work of a call.
for _ = 1, 10 do
    local page = redis.call('XRANGE', stream, from, '+', 'COUNT', limit)
    for _, entry in ipairs(page) do
        local id, fields = entry[1], entry[2]
        from = '(' .. id
        local flat, chosen = {}, false
        for index = 1, #fields, 2 do
            if fields[index] == 'chosen' then
                chosen = true
            elseif fields[index] ~= 'e' then
                flat[#flat + 1] = fields[index]
                flat[#flat + 1] = fields[index + 1]
            end
        end
        if not chosen and not in_hand[id] and moved < limit then
            redis.call('XADD', prefix .. ':' .. lane, '*', unpack(flat))
            redis.call('XDEL', stream, id)
            moved = moved + 1
        end
    end
    if #page < limit or moved >= limit then
        break
    end
end
if moved > 0 then
    redis.pcall('PUBLISH', prefix .. ':wake', '1')
end
return moved
