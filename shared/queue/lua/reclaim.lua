-- reclaim, version 1: put entries that a consumer will not finish back at the end of their stream.
--
-- KEYS[1]  P:epoch, which fixes the cluster slot; all other keys are P plus a suffix.
-- ARGV[1]  prefix P
-- ARGV[2]  consumer group
-- ARGV[3]  suffix of the stream
-- ARGV[4]  consumer; '' = any, whose entries have been idle for ARGV[5]
-- ARGV[5]  idle time in ms, at least (0: any)
-- ARGV[6]  how many at most
-- ARGV[7]  '1': count a crash on each
--
-- Returns a list of {consumer, fields} of the entries that were put back.
--
-- Makes impossible: an entry lost between claiming and adding again; one that was deleted meanwhile coming back; a
-- consumer deleted while it has entries pending, which Redis would forget with it.

local prefix, group, stream = ARGV[1], ARGV[2], ARGV[1] .. ARGV[3]
local query = {'XPENDING', stream, group, 'IDLE', ARGV[5], '-', '+', ARGV[6]}
if ARGV[4] ~= '' then
    query[#query + 1] = ARGV[4]
end
local pending = redis.pcall(unpack(query))
if pending.err then
    -- No such stream or group: nothing is pending in it. Any other error ends the script.
    return string.find(pending.err, 'NOGROUP', 1, true) and {} or redis.call(unpack(query))
end
local back = {}
for _, line in ipairs(pending) do
    local id, consumer = line[1], line[2]
    local entry = redis.call('XRANGE', stream, id, id)[1]
    if entry then
        local fields = entry[2]
        if ARGV[7] == '1' then
            local counted = false
            for index = 1, #fields, 2 do
                if fields[index] == 'c' then
                    fields[index + 1] = tostring(tonumber(fields[index + 1]) + 1)
                    counted = true
                end
            end
            if not counted then
                fields[#fields + 1] = 'c'
                fields[#fields + 1] = '1'
            end
        end
        redis.call('XADD', stream, '*', unpack(fields))
        back[#back + 1] = {consumer, fields}
    end
    redis.call('XACK', stream, group, id)
    redis.call('XDEL', stream, id)
end
if #back > 0 then
    redis.pcall('PUBLISH', prefix .. ':wake', '1')
end
return back
