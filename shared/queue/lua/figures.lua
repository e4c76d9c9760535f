-- figures, version 1: what stands in Redis, in numbers, at one moment. Changes nothing.
--
-- KEYS[1]  P:epoch, which fixes the cluster slot; all other keys are P plus a suffix.
-- ARGV[1]  now in ms, '' = the clock of Redis
-- ARGV[2]  prefix P
-- ARGV[3]  consumer group
-- ARGV[4]  how many minutes of the series, the present one included
-- ARGV[5]  the counters of the series, comma separated
-- ARGV[6+] ids of the endpoints in the settings
--
-- Returns {now, epoch ('' = none), 1 if Redis is the server that was built for it, streams, parked, beats, totals, series,
--          endpoints}
--   streams    {{suffix, length, pending, ms id of the oldest entry in nobody's hand (-1: none)}, ...}
--   parked     {how many, score of the first or -1}
--   beats, totals  flat hashes
--   series     for each minute, oldest first, the counters in the order asked for ('' or nil as 0)
--   endpoints  {{id, flat state, flat counters, slots in use, slots in the rota, text ready at, campaign ready at}, ...}
--
-- Bounded: two streams for each lane and endpoint (bound ones: 256 at most), no key is scanned.
--
-- Makes impossible: figures of one event that contradict each other, such as a slot counted both as used and as free.

-- include: clock
local prefix, group, minutes = ARGV[2], ARGV[3], tonumber(ARGV[4])
-- include: slots

local epoch = redis.call('HMGET', KEYS[1], 'number', 'run_id')
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')

local streams = {}
local function look_at(suffix)
    local stream = prefix .. suffix
    local length = redis.call('XLEN', stream)
    if length == 0 then
        streams[#streams + 1] = {suffix, 0, 0, -1}
        return
    end
    local pending, after = 0, '-'
    for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
        local fields = {}
        for index = 1, #info, 2 do
            fields[info[index]] = info[index + 1]
        end
        if fields['name'] == group then
            pending, after = fields['pending'], '(' .. fields['last-delivered-id']
        end
    end
    local oldest = redis.call('XRANGE', stream, after, '+', 'COUNT', 1)[1]
    streams[#streams + 1] = {suffix, length, pending, oldest and tonumber(string.match(oldest[1], '^(%d+)')) or -1}
end

look_at(':transactional')
look_at(':bulk')
for index, endpoint in ipairs(redis.call('SMEMBERS', prefix .. ':bound')) do
    if index > 256 then
        break
    end
    look_at(':endpoint:' .. endpoint .. ':transactional')
    look_at(':endpoint:' .. endpoint .. ':bulk')
end

local first = redis.call('ZRANGE', prefix .. ':scheduled', 0, 0, 'WITHSCORES')
local parked = {redis.call('ZCARD', prefix .. ':scheduled'), first[2] or '-1'}

local names = {}
for name in string.gmatch(ARGV[5], '[^,]+') do
    names[#names + 1] = name
end
local series = {}
local present = math.floor(now / 60000)
for minute = present - minutes + 1, present do
    local fields = {}
    for index, name in ipairs(names) do
        fields[index] = minute .. ':' .. name
    end
    local counts = redis.call('HMGET', prefix .. ':minutes', unpack(fields))
    for index = 1, #names do
        counts[index] = tonumber(counts[index] or '0')
    end
    series[#series + 1] = counts
end

local endpoints = {}
for index = 6, #ARGV do
    local endpoint = ARGV[index]
    local used, free, text_at, bulk_at = 0, 0, math.huge, math.huge
    for _, slot in ipairs(slots_of(endpoint, redis.call('HGET', prefix .. ':state:' .. endpoint, 'slots'))) do
        if slot[2] then
            free = free + 1
            text_at = math.min(text_at, slot[2])
            bulk_at = math.min(bulk_at, tonumber(redis.call('ZSCORE', prefix .. ':rota:bulk', slot[1]) or slot[2]))
        else
            used = used + 1
        end
    end
    endpoints[#endpoints + 1] = {
        endpoint,
        redis.call('HGETALL', prefix .. ':state:' .. endpoint),
        redis.call('HGETALL', prefix .. ':statistics:' .. endpoint),
        used, free, free > 0 and text_at or -1, free > 0 and bulk_at or -1}
end

return {
    now, epoch[1] or '', epoch[2] == run_id and 1 or 0, streams, parked,
    redis.call('HGETALL', prefix .. ':dispatchers'), redis.call('HGETALL', prefix .. ':statistics'), series, endpoints}
