-- promote, version 1: move parked entries that are due into their streams, and slots whose lease ended back into the rota.
--
-- KEYS[1]  P:epoch, which fixes the cluster slot; all other keys are P plus a suffix.
-- ARGV[1]  now in ms, '' = the clock of Redis
-- ARGV[2]  prefix P
-- ARGV[3]  how many entries, and how many slots, at most
-- ARGV[4]  pause in ms before a slot whose lease ended may send again
-- ARGV[5]  open_timeout in ms of the breaker
--
-- Returns {moved, leases ended, ms until the next parked entry is due (-1: none), breakers opened, as in settle.lua}.
--
-- Makes impossible: an entry that is neither parked nor in a stream; a slot that no death can give back; a half-open
-- breaker that waits for ever for the answer to a trial.

-- include: clock
local prefix, limit = ARGV[2], tonumber(ARGV[3])
-- include: entries
-- include: giving_back
-- include: opening
local scheduled = prefix .. ':scheduled'

local due = redis.call('ZRANGEBYSCORE', scheduled, '-inf', now, 'LIMIT', 0, limit)
for _, member in ipairs(due) do
    local entry = cjson.decode(member)
    add_entry(entry.lane, entry.fields)
    redis.call('ZREM', scheduled, member)
end
if #due > 0 then
    redis.pcall('PUBLISH', prefix .. ':wake', '1')
end

local ended = redis.call('ZRANGEBYSCORE', prefix .. ':busy', '-inf', now, 'LIMIT', 0, limit)
for _, slot in ipairs(ended) do
    give_back_of_the_dead(slot, redis.call('HGET', prefix .. ':busy:owners', slot) or '', tonumber(ARGV[4]))
end

-- Half-open endpoints are few; each has a field here while it is on trial.
local opened = {}
local trials = redis.call('HGETALL', prefix .. ':trials')
for index = 1, #trials, 2 do
    local endpoint, reason = trials[index], 'a trial had no answer in time'
    local state = redis.call('HMGET', prefix .. ':state:' .. endpoint, 'breaker', 'trial_until')
    if state[1] ~= 'half_open' then
        redis.call('HDEL', prefix .. ':trials', endpoint)
    elseif tonumber(state[2] or '0') > 0 and tonumber(state[2]) <= now then
        open_breaker(endpoint, state[1], reason, now + tonumber(ARGV[5]))
        opened[#opened + 1] = {endpoint, state[1], 'open', reason}
    end
end

local following = redis.call('ZRANGE', scheduled, 0, 0, 'WITHSCORES')
local wait = -1
if following[2] then
    wait = math.max(0, math.ceil(tonumber(following[2]) - now))
end
return {#due, #ended, wait, opened}
