-- enqueue, version 1: put entries into their streams and wake an idle dispatcher.
--
-- KEYS[1]  P:epoch, which fixes the cluster slot; all other keys are P plus a suffix.
-- ARGV[1]  prefix P
-- ARGV[2]  the epoch for which the caller enqueues, '' = whatever there is
-- ARGV[3]  a JSON list of {lane, fields, due}; due: ms since 1970 when it may be taken, 0 = now
--
-- Returns {'REBUILD'} when ARGV[2] is given and is not the epoch here, else {'OK', how many}.
--
-- Makes impossible: some entries of a call being added and others not; an entry in a bound stream that nobody looks at.

local prefix = ARGV[1]
-- include: entries
local epoch = redis.call('HGET', KEYS[1], 'number')
if ARGV[2] ~= '' and epoch ~= ARGV[2] then
    return {'REBUILD'}
end
local entries = cjson.decode(ARGV[3])
for _, entry in ipairs(entries) do
    if entry.due > 0 then
        redis.call('ZADD', prefix .. ':scheduled', entry.due, cjson.encode({lane = entry.lane, fields = entry.fields}))
    else
        add_entry(entry.lane, entry.fields)
    end
end
if #entries > 0 then
    redis.pcall('PUBLISH', prefix .. ':wake', '1')
end
return {'OK', #entries}
