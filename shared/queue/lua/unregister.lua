-- unregister, version 2: a dispatcher that is gone leaves nothing behind: its slots go back, its consumers are deleted.
--
-- KEYS[1]  P:epoch, which fixes the cluster slot; all other keys are P plus a suffix.
-- ARGV[1]  now in ms, '' = the clock of Redis
-- ARGV[2]  prefix P
-- ARGV[3]  consumer group
-- ARGV[4]  dispatcher
-- ARGV[5]  its beat as the caller last saw it: a newer one means that it lives. '' = it leaves by itself (or never spoke):
--          what it still has pending goes back to the end of its stream. It has finished all that it could read, so that
--          is what it could not: entries of a newer version. Nobody died with them, so no crash is counted; counted, each
--          of a thousand messages was handled alone after a rollout.
-- ARGV[6]  pause in ms before its slots may send again
-- ARGV[7+] suffixes of the streams
--
-- Returns {'ALIVE'}, {'PENDING'} when entries of it are still to be reclaimed (of one that leaves: more than LIMIT in a
-- stream), or {'OK', slots given back}.
--
-- Makes impossible: a dispatcher that lives losing its slots; an entry lost with the consumer that had it; a pause or a count
-- for the caps lost with the slot. The slots come back at once though an answer may still be on its way: Postgres lets no
-- second attempt begin on a slot whose attempt is open.

-- include: clock
local prefix, group, dispatcher = ARGV[2], ARGV[3], ARGV[4]
-- include: pending
-- include: giving_back

local beat = redis.call('HGET', prefix .. ':dispatchers', dispatcher)
if ARGV[5] ~= '' and beat and beat ~= ARGV[5] then
    return {'ALIVE'}
end

local LIMIT = 5000
local function hand_back(stream)
    local pending = pending_of(dispatcher, stream, LIMIT)
    for _, line in ipairs(pending) do
        local entry = redis.call('XRANGE', stream, line[1], line[1])[1]
        if entry then
            redis.call('XADD', stream, '*', unpack(entry[2]))
        end
        redis.call('XACK', stream, group, line[1])
        redis.call('XDEL', stream, line[1])
    end
    return #pending > 0
end

local handed_back, left = false, false
for index = 7, #ARGV do
    local stream = prefix .. ARGV[index]
    if ARGV[5] == '' then
        handed_back = hand_back(stream) or handed_back
    end
    left = left or #pending_of(dispatcher, stream, 1) > 0
end
if handed_back then
    redis.pcall('PUBLISH', prefix .. ':wake', '1')
end
if left then
    return {'PENDING'}
end
for index = 7, #ARGV do
    redis.pcall('XGROUP', 'DELCONSUMER', prefix .. ARGV[index], group, dispatcher)
end
local given = 0
local owners = redis.call('HGETALL', prefix .. ':busy:owners')
for index = 1, #owners, 2 do
    if string.match(owners[index + 1], '^[^|]*|([^|]*)|') == dispatcher then
        give_back_of_the_dead(owners[index], owners[index + 1], tonumber(ARGV[6]))
        given = given + 1
    end
end
redis.call('HDEL', prefix .. ':dispatchers', dispatcher)
return {'OK', given}
