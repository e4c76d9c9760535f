-- take, version 1: give a dispatcher slots that may send now, each with an entry for it.
--
-- KEYS[1]  P:epoch, which fixes the cluster slot; all other keys are P plus a suffix.
-- ARGV[1]  now in ms, '' = the clock of Redis (only tests give one)
-- ARGV[2]  prefix P
-- ARGV[3]  consumer group
-- ARGV[4]  dispatcher, which is the consumer's name
-- ARGV[5]  lease of a slot in ms
-- ARGV[6]  HALF_OPEN_TIMEOUT in ms: how long a trial may take
-- ARGV[7]  the endpoints that the dispatcher knows, as a JSON object {id: 1}
-- ARGV[8+] one token per assignment wanted
--
-- Returns {'REBUILD'} when Redis does not hold the epoch that it was built for, else
--   {'OK', epoch, now_ms, next_ms, control_version, assignments, beat}
-- next_ms: when a slot may send next while entries wait, -1 when nothing waits, since each new entry tells. beat: the
-- number that Postgres has at least, unless it went back in time. An assignment:
--   {stream suffix, entry id, slot, token, ready_at, bulk_ready_at, breaker, generation, since_break, fields}
--
-- Makes impossible: two dispatchers holding one slot; a slot held without an entry or an entry taken without a slot; an
-- endpoint that is open, suspended or unknown to the dispatcher being given to it; work from a Redis that lost something;
-- a cap exceeded by two slots or two dispatchers at once.
--
-- P:state:<endpoint> has: breaker (closed, open, half_open), generation (raised by each change of it), failures,
-- successes, reason, since (ms), not_before (ms, the earliest trial), trial_until (ms), since_break (messages since the
-- last long pause), turn; slots (how many it was given at most, see include/slots.lua); ready_at and bulk_ready_at (ms): the pauses that an open endpoint has still to keep;
-- cap_hour, cap_day, bulk_cap_hour, bulk_cap_day: messages in any such window, at most (0 or none: no cap), and for
-- campaigns; capped_until, bulk_capped_until (ms): since when a cap was met, its slots stand at this time in the rota.
-- P:sends:<endpoint> is a zset of tokens, score = when their message was settled (ms), or taken while it is in hand.

-- include: clock
local prefix, group, dispatcher = ARGV[2], ARGV[3], ARGV[4]
local lease, trial = tonumber(ARGV[5]), tonumber(ARGV[6])
local first_token = 8
local wanted = #ARGV - first_token + 1
-- include: epoch
-- include: slots

local rota, rota_bulk, bound = prefix .. ':rota', prefix .. ':rota:bulk', prefix .. ':bound'
local control_version = redis.call('HGET', prefix .. ':control', 'version') or '0'
local assignments = {}
local waiting_transactional = redis.call('XLEN', prefix .. ':transactional') > 0
local waiting_bulk = redis.call('XLEN', prefix .. ':bulk') > 0
local any_bound = redis.call('SCARD', bound) > 0
if wanted < 1 or not (waiting_transactional or waiting_bulk or any_bound) then
    return {'OK', epoch[1], now, -1, control_version, assignments, epoch[3] or '0'}
end

local known = cjson.decode(ARGV[7])

local function endpoint_of(slot)
    return string.match(slot, '^(.*)/')
end

-- The next entries of a stream for this dispatcher, oldest first. Those of another version stay in its hand untouched
-- until it ends; then they go back to the stream and a newer dispatcher may get them.
local function read(suffix, count)
    local stream = prefix .. suffix
    local reply = redis.pcall('XREADGROUP', 'GROUP', group, dispatcher, 'COUNT', count, 'STREAMS', stream, '>')
    if type(reply) == 'table' and reply.err then
        if string.find(reply.err, 'NOGROUP', 1, true) then
            redis.call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
        end
        reply = redis.call('XREADGROUP', 'GROUP', group, dispatcher, 'COUNT', count, 'STREAMS', stream, '>')
    end
    if not reply then
        return {}
    end
    local readable = {}
    for _, entry in ipairs(reply[1][2]) do
        local fields = entry[2]
        for index = 1, #fields, 2 do
            if fields[index] == 'v' and fields[index + 1] == '1' then
                readable[#readable + 1] = entry
                break
            end
        end
    end
    return readable
end

local HOUR, DAY = 3600000, 86400000
-- Endpoint -> slots found fit in this call that have no entry yet: they use up a cap as much as a message in hand.
local promised = {}

-- When an endpoint may send one more under its caps, ms; 0: now. A message in hand counts from when it was taken.
local function free_at(endpoint, hour, day)
    local sends, free = prefix .. ':sends:' .. endpoint, 0
    for window, cap in pairs({[HOUR] = tonumber(hour or '0'), [DAY] = tonumber(day or '0')}) do
        if cap > 0 then
            local used = redis.call('ZCOUNT', sends, '(' .. (now - window), '+inf')
            if used >= cap then
                local leaves = redis.call('ZREVRANGE', sends, cap - 1, cap - 1, 'WITHSCORES')
                free = math.max(free, tonumber(leaves[2]) + window)
            elseif used + (promised[endpoint] or 0) >= cap then
                free = math.huge
            end
        end
    end
    return free
end

-- A slot that may send now and whose breaker and caps admit, as {slot, endpoint, ready_at, bulk_ready_at, breaker,
-- generation, since_break, capped}; nil otherwise. A slot that a cap holds back leaves the head of the rota.
local function admitted(slot, ready_at, bulk_ready_at, bulk)
    local endpoint = endpoint_of(slot)
    if not known[endpoint] then
        return nil
    end
    local state_key = prefix .. ':state:' .. endpoint
    local state = redis.call('HMGET', state_key, 'breaker', 'generation', 'since_break', 'trial_until', 'cap_hour',
        'cap_day', 'bulk_cap_hour', 'bulk_cap_day')
    local breaker = state[1] or 'closed'
    if breaker == 'open' or (breaker == 'half_open' and tonumber(state[4] or '0') > now) then
        return nil
    end
    local capped = tonumber(state[5] or '0') > 0 or tonumber(state[6] or '0') > 0
    if capped then
        local free = free_at(endpoint, state[5], state[6])
        local bulk_free = bulk and free_at(endpoint, state[7], state[8]) or 0
        if math.max(free, bulk_free) == math.huge then
            -- Not full yet: only what this very call has promised would fill it, so the slot stays where it is.
            return nil
        end
        if free > now then
            redis.call('HSET', state_key, 'capped_until', free)
            redis.call('ZADD', rota, 'XX', 'GT', free, slot)
        end
        if math.max(free, bulk_free) > now then
            redis.call('HSET', state_key, 'bulk_capped_until', math.max(free, bulk_free))
            redis.call('ZADD', rota_bulk, 'XX', 'GT', math.max(free, bulk_free), slot)
            return nil
        end
        promised[endpoint] = (promised[endpoint] or 0) + 1
    end
    return {slot, endpoint, ready_at, bulk_ready_at, breaker, state[2] or '0', state[3] or '0', capped}
end

-- Slots that were given an entry are gathered and written together, at the end of each part below: a call from Lua costs
-- several times the command in it. No part meets a slot twice.
local gone = {slots = {}, busy = {}, owners = {}}

local function write_slots()
    if #gone.slots > 0 then
        -- Leased before they leave the rota: should the rest be refused, take_back.lua gives them back with their pauses.
        redis.call('HSET', prefix .. ':busy:owners', unpack(gone.owners))
        redis.call('ZADD', prefix .. ':busy', unpack(gone.busy))
        redis.call('ZREM', rota, unpack(gone.slots))
        redis.call('ZREM', rota_bulk, unpack(gone.slots))
        gone = {slots = {}, busy = {}, owners = {}}
    end
end

local function assign(candidate, suffix, entry)
    local slot, endpoint = candidate[1], candidate[2]
    local token = ARGV[first_token + #assignments]
    local position = #gone.slots
    gone.slots[position + 1] = slot
    gone.busy[2 * position + 1], gone.busy[2 * position + 2] = now + lease, slot
    gone.owners[2 * position + 1] = slot
    gone.owners[2 * position + 2] = token .. '|' .. dispatcher .. '|' .. tostring(candidate[4])
    if candidate[5] == 'half_open' then
        redis.call('HSET', prefix .. ':state:' .. endpoint, 'trial_until', now + trial)
    end
    if candidate[8] then
        redis.call('ZADD', prefix .. ':sends:' .. endpoint, now, token)
        promised[endpoint] = promised[endpoint] - 1
    end
    assignments[#assignments + 1] = {
        suffix, entry[1], slot, token, tostring(candidate[3]), tostring(candidate[4]), candidate[5], candidate[6],
        candidate[7], entry[2]}
end

local function full()
    return #assignments >= wanted
end

local function score(set, slot)
    return tonumber(redis.call('ZSCORE', set, slot) or 'inf')
end

-- Up to 64 slots that have been ready longest, as {slot, ready at}. Slots of endpoints that the dispatcher does not know
-- are passed over: after a change of the settings hundreds of them may be left at the head.
local function ready_slots(set)
    local slots, from = {}, 0
    repeat
        local page = redis.call('ZRANGEBYSCORE', set, '-inf', now, 'WITHSCORES', 'LIMIT', from, 64)
        for index = 1, #page, 2 do
            if known[endpoint_of(page[index])] then
                slots[#slots + 1] = {page[index], tonumber(page[index + 1])}
            end
        end
        from = from + 64
    until #page < 128 or #slots >= 64 or from >= 2048
    return slots
end

-- 1. Entries bound to an endpoint: its own transactional ones.
local own_bulk = {}
if any_bound then
    for _, endpoint in ipairs(redis.call('SRANDMEMBER', bound, 64)) do
        local own = prefix .. ':endpoint:' .. endpoint
        local transactional, bulk = redis.call('XLEN', own .. ':transactional'), redis.call('XLEN', own .. ':bulk')
        if transactional + bulk == 0 then
            redis.call('SREM', bound, endpoint)
        elseif known[endpoint] then
            own_bulk[endpoint] = bulk > 0
            if transactional > 0 and not full() then
                for _, slot in ipairs(slots_of(endpoint, redis.call('HGET', prefix .. ':state:' .. endpoint, 'slots'))) do
                    local name, ready = slot[1], slot[2]
                    if full() then
                        break
                    end
                    if ready and ready <= now then
                        local candidate = admitted(name, ready, score(rota_bulk, name))
                        local entry = candidate and read(':endpoint:' .. endpoint .. ':transactional', 1)[1]
                        if entry then
                            assign(candidate, ':endpoint:' .. endpoint .. ':transactional', entry)
                        end
                    end
                end
            end
        end
    end
end

write_slots()
promised = {}
-- 2. The shared transactional lane, on the slots that have been ready longest.
if waiting_transactional and not full() then
    local slots, trials = {}, {}
    for _, ready in ipairs(ready_slots(rota)) do
        if #assignments + #slots >= wanted then
            break
        end
        local candidate = admitted(ready[1], ready[2], score(rota_bulk, ready[1]))
        -- Half-open endpoints count once however many slots they have.
        if candidate and not (candidate[5] == 'half_open' and trials[candidate[2]]) then
            trials[candidate[2]] = true
            slots[#slots + 1] = candidate
        end
    end
    if #slots > 0 then
        for index, entry in ipairs(read(':transactional', #slots)) do
            assign(slots[index], ':transactional', entry)
        end
    end
end

write_slots()
promised = {}
-- 3. Bulk, own and shared by turns, on the slots whose longer pause is over.
if (waiting_bulk or next(own_bulk)) and not full() then
    local shared_slots, trials = {}, {}
    for _, ready in ipairs(ready_slots(rota_bulk)) do
        if #assignments + #shared_slots >= wanted then
            break
        end
        local ready_at = score(rota, ready[1])
        local candidate = ready_at <= now and admitted(ready[1], ready_at, ready[2], true)
        if candidate and not (candidate[5] == 'half_open' and trials[candidate[2]]) then
            local endpoint = candidate[2]
            trials[endpoint] = true
            local entry
            if own_bulk[endpoint] then
                local turn = redis.call('HINCRBY', prefix .. ':state:' .. endpoint, 'turn', 1)
                if turn % 2 == 1 or not waiting_bulk then
                    entry = read(':endpoint:' .. endpoint .. ':bulk', 1)[1]
                end
            end
            if entry then
                assign(candidate, ':endpoint:' .. endpoint .. ':bulk', entry)
            elseif waiting_bulk then
                shared_slots[#shared_slots + 1] = candidate
            end
        end
    end
    if #shared_slots > 0 then
        for index, entry in ipairs(read(':bulk', #shared_slots)) do
            assign(shared_slots[index], ':bulk', entry)
        end
    end
end

write_slots()

-- All slots are in hand, or out of service: others may give one back, and tell nobody.
local next_ms = 100
if not full() then
    local after = redis.call('ZRANGEBYSCORE', rota, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    local after_bulk = redis.call('ZRANGEBYSCORE', rota_bulk, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    local earliest = math.min(tonumber(after[2] or 'inf'), tonumber(after_bulk[2] or 'inf'))
    if earliest ~= math.huge then
        next_ms = math.max(1, math.ceil(earliest - now))
    end
end
return {'OK', epoch[1], now, next_ms, control_version, assignments, epoch[3] or '0'}
