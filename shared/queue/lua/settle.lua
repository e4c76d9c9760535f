-- settle, version 1: end assignments: take their entries out of the stream, put follow-up entries where they belong, give
-- the slots back with their next times, count for breaker and statistics.
--
-- KEYS[1]  P:epoch, which fixes the cluster slot; all other keys are P plus a suffix.
-- ARGV[1]  now in ms, '' = the clock of Redis
-- ARGV[2]  prefix P
-- ARGV[3]  consumer group
-- ARGV[4]  {enabled, failure_threshold, success_threshold, open_timeout_ms, recheck_ms} of the breaker, JSON
-- ARGV[5]  settlements, a JSON list of objects:
--   stream, id           suffix and id of the entry, both '' if there is none
--   slot, token          the assignment; a slot is changed only while it belongs to this token
--   ready, bulk          ms from now until the slot may send a text, a campaign's message; < 0: when it might before,
--                        at ready_at and bulk_ready_at
--   since_break          messages since the last long pause, afterwards
--   outcome              ok, fail, critical (the endpoint cannot send until its status says so), ignore
--   generation           of the breaker when it was taken; an older one counts for nothing
--   reason               of a fail or critical, without anything secret
--   verdict, ms          for the statistics; '' = none
--   counts               1: it may have been sent, so it counts toward the caps
--   next                 nil or {fields, lane, due (ms from now), rebind}: the entry that follows. due 0: into its
--                        stream now; rebind 1: bound to the endpoint in its field e while that is closed, else to the
--                        least recently ready one that its field x does not exclude and that has not OWN_LIMIT entries
--                        of campaigns waiting, or else due in `otherwise` ms
-- ARGV[6]  known endpoints, as in take.lua
--
-- Returns the breakers that changed: {{endpoint, from, to, reason}, ...}. May be repeated: entries are gone, a slot counts
-- and is given back only while the token owns it, and a follow-up that is enqueued twice meets the fence in Postgres.
--
-- Makes impossible: an entry acknowledged while its follow-up is lost; a slot given back by somebody who does not own it
-- any more; an answer from before a change of the breaker deciding about the breaker after it.

-- include: clock
local prefix, group = ARGV[2], ARGV[3]
-- include: entries
-- include: opening
local breaker_settings = cjson.decode(ARGV[4])
local settlements = cjson.decode(ARGV[5])
local known_endpoints
local rota, rota_bulk = prefix .. ':rota', prefix .. ':rota:bulk'
local minute = math.floor(now / 60000)
local changes = {}
local woken = false

local function known(endpoint)
    known_endpoints = known_endpoints or cjson.decode(ARGV[6])
    return known_endpoints[endpoint]
end

-- Slots to be given back are gathered and written together: a call from Lua costs several times the command in it. Until
-- they are written each still stands in `busy`, so whoever looks at the slots of an endpoint writes them first.
local back = {slots = {}, ready = {}, bulk = {}, waiting = {}}

local function write_slots()
    if #back.slots > 0 then
        -- Into the rota before the lease goes: should the rest be refused, the same settlement can be repeated.
        if #back.ready > 0 then
            redis.call('ZADD', rota, unpack(back.ready))
            redis.call('ZADD', rota_bulk, unpack(back.bulk))
        end
        redis.call('ZREM', prefix .. ':busy', unpack(back.slots))
        redis.call('HDEL', prefix .. ':busy:owners', unpack(back.slots))
        back = {slots = {}, ready = {}, bulk = {}, waiting = {}}
    end
end

local function add(entry)
    add_entry(entry.lane, entry.fields)
    woken = true
end

local function park(entry, delay)
    redis.call('ZADD', prefix .. ':scheduled', now + delay, cjson.encode({lane = entry.lane, fields = entry.fields}))
end

-- Entries of campaigns bound to one endpoint, at most: an account that may write to nobody new must not pour a whole
-- campaign into the stream of another.
local OWN_LIMIT = 100

local function takes_over(endpoint, entry)
    if not known(endpoint)
        or string.find(',' .. (entry.fields.x or '') .. ',', ',' .. endpoint .. ',', 1, true)
        or (redis.call('HGET', prefix .. ':state:' .. endpoint, 'breaker') or 'closed') ~= 'closed' then
        return false
    end
    return entry.lane ~= 'bulk' or redis.call('XLEN', prefix .. ':endpoint:' .. endpoint .. ':bulk') < OWN_LIMIT
end

-- The endpoint that may send soonest among those that the dispatcher knows and this round has not tried; one that is just
-- sending comes last.
local function another_endpoint(entry)
    write_slots()
    for _, set in ipairs({rota, prefix .. ':busy'}) do
        for _, slot in ipairs(redis.call('ZRANGE', set, 0, 1023)) do
            local endpoint = string.match(slot, '^(.*)/')
            if takes_over(endpoint, entry) then
                return endpoint
            end
        end
    end
    return nil
end

local function follow(entry)
    if entry.rebind == 1 then
        local wished = entry.fields.e
        local endpoint = wished and takes_over(wished, entry) and wished or another_endpoint(entry)
        entry.fields.e = endpoint
        if endpoint then
            add(entry)
        else
            entry.fields.x = nil
            park(entry, entry.otherwise)
        end
    elseif entry.due > 0 then
        park(entry, entry.due)
    else
        add(entry)
    end
end

local function open(endpoint, from, reason, not_before)
    write_slots()
    open_breaker(endpoint, from, reason, not_before)
    if from ~= 'open' then
        changes[#changes + 1] = {endpoint, from, 'open', reason}
    end
    return 'open'
end

local function close(endpoint, state_key, from)
    redis.call('HINCRBY', state_key, 'generation', 1)
    redis.call('HSET', state_key, 'breaker', 'closed', 'reason', '', 'since', now, 'not_before', 0,
        'failures', 0, 'successes', 0, 'trial_until', 0)
    redis.call('HINCRBY', prefix .. ':statistics', 'breaker_closed', 1)
    changes[#changes + 1] = {endpoint, from, 'closed', ''}
    return 'closed'
end

-- Answers the state of the breaker afterwards. `state`: what the endpoint's state held before this settlement.
local function count_for_breaker(endpoint, state_key, state, s)
    local breaker = state.breaker
    if s.outcome == 'ignore' or tostring(s.generation) ~= state.generation then
        if s.outcome == 'ignore' and breaker == 'half_open' and tostring(s.generation) == state.generation then
            redis.call('HSET', state_key, 'trial_until', 0)
        end
        return breaker
    end
    if s.outcome == 'critical' then
        -- Also with the breaker off: an account that is logged out would burn every message.
        local wait = breaker_settings.enabled and breaker_settings.open_timeout_ms or breaker_settings.recheck_ms
        return breaker == 'open' and breaker or open(endpoint, breaker, s.reason, now + wait)
    elseif not breaker_settings.enabled then
        return breaker
    elseif s.outcome == 'fail' then
        if breaker == 'half_open'
            or redis.call('HINCRBY', state_key, 'failures', 1) >= breaker_settings.failure_threshold then
            return open(endpoint, breaker, s.reason, now + breaker_settings.open_timeout_ms)
        end
    elseif breaker == 'half_open' then
        redis.call('HSET', state_key, 'trial_until', 0)
        if redis.call('HINCRBY', state_key, 'successes', 1) >= breaker_settings.success_threshold then
            return close(endpoint, state_key, breaker)
        end
    elseif breaker == 'closed' and state.failures ~= '0' then
        redis.call('HSET', state_key, 'failures', 0)
    end
    return breaker
end

local function give_back(endpoint, state_key, breaker, since_break, registered, s)
    if s.since_break and s.since_break ~= since_break then
        redis.call('HSET', state_key, 'since_break', s.since_break)
    end
    local ready_at, bulk_at = s.ready_at, s.bulk_ready_at
    if s.ready >= 0 then
        ready_at = now + s.ready
        -- A text does not end the campaigns' pause.
        bulk_at = math.max(now + s.bulk, s.lane == 'transactional' and s.bulk_ready_at or 0)
    end
    back.slots[#back.slots + 1] = s.slot
    if breaker == 'open' then
        keep_pause(state_key, ready_at, bulk_at)
        return
    end
    local position = #back.ready
    back.ready[position + 1], back.ready[position + 2] = ready_at, s.slot
    back.bulk[position + 1], back.bulk[position + 2] = bulk_at, s.slot
    back.waiting[s.slot] = true
    -- The pace is the endpoint's: one slot's send moves all of them.
    if s.ready > 0 or s.bulk > 0 then
        local ready, bulk = {}, {}
        for _, slot in ipairs(slots_of(endpoint, registered)) do
            if slot[1] ~= s.slot and (slot[2] or back.waiting[slot[1]]) then
                ready[#ready + 1], ready[#ready + 2] = ready_at, slot[1]
                bulk[#bulk + 1], bulk[#bulk + 2] = bulk_at, slot[1]
            end
        end
        if #ready > 0 then
            write_slots()
            redis.call('ZADD', rota, 'XX', 'GT', unpack(ready))
            redis.call('ZADD', rota_bulk, 'XX', 'GT', unpack(bulk))
        end
    end
end

-- Counts of this call by key and field, written once at the end.
local counted = {}

local function plus(key, field, number)
    local fields = counted[key] or {}
    fields[field] = (fields[field] or 0) + number
    counted[key] = fields
end

local function count(endpoint, s)
    if s.verdict == '' then
        return
    end
    local totals, per_endpoint = prefix .. ':statistics', prefix .. ':statistics:' .. endpoint
    plus(totals, s.verdict, 1)
    plus(prefix .. ':minutes', minute .. ':' .. s.verdict, 1)
    plus(per_endpoint, s.verdict, 1)
    plus(per_endpoint, 'answers', 1)
    plus(per_endpoint, 'answer_ms', s.ms)
    if s.outcome == 'fail' or s.outcome == 'critical' then
        redis.call('HSET', per_endpoint, 'last_error', s.reason, 'last_error_at', now)
    end
end

local function write_counts()
    for key, fields in pairs(counted) do
        for field, number in pairs(fields) do
            redis.call('HINCRBY', key, field, number)
        end
        if key == prefix .. ':statistics' then
            redis.call('HSET', key, 'last_processed', now)
        elseif fields.answers then
            redis.call('HSET', key, 'last_used', now)
        end
    end
end

-- What was reserved under the caps at take is confirmed, from now on, or given back.
local function reserve(endpoint, s)
    local sends = prefix .. ':sends:' .. endpoint
    if s.counts == 1 then
        redis.call('ZADD', sends, 'XX', now, s.token)
        redis.call('ZREMRANGEBYSCORE', sends, '-inf', now - 86400000)
    else
        redis.call('ZREM', sends, s.token)
    end
end

local slots = {}
for index, s in ipairs(settlements) do
    slots[index] = s.slot
end
local owners = #slots > 0 and redis.call('HMGET', prefix .. ':busy:owners', unpack(slots)) or {}

local entries = {}
for index, s in ipairs(settlements) do
    local endpoint = string.match(s.slot, '^(.*)/')
    local state_key = prefix .. ':state:' .. endpoint
    local held = redis.call('HMGET', state_key, 'breaker', 'generation', 'failures', 'since_break', 'cap_hour', 'cap_day',
        'slots')
    if s.next and s.next ~= cjson.null then
        follow(s.next)
    end
    if s.id ~= '' then
        local list = entries[s.stream] or {}
        list[#list + 1] = s.id
        entries[s.stream] = list
    end
    if held[5] or held[6] then
        reserve(endpoint, s)
    end
    if owners[index] and string.match(owners[index], '^([^|]*)|') == s.token then
        local state = {breaker = held[1] or 'closed', generation = held[2] or '0', failures = held[3] or '0'}
        local breaker = count_for_breaker(endpoint, state_key, state, s)
        give_back(endpoint, state_key, breaker, tonumber(held[4]), held[7], s)
        count(endpoint, s)
    end
end
write_slots()
write_counts()
for suffix, ids in pairs(entries) do
    redis.call('XACK', prefix .. suffix, group, unpack(ids))
    redis.call('XDEL', prefix .. suffix, unpack(ids))
end
if woken then
    redis.pcall('PUBLISH', prefix .. ':wake', '1')
end
return changes
