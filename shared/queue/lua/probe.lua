-- probe, version 1: what this Redis would refuse, found by trying each command in a way that changes nothing.
--
-- KEYS[1]  P:epoch, which fixes the cluster slot; all other keys are P plus a suffix.
-- ARGV[1]  prefix P
-- ARGV[2+] a key of each kind
--
-- Returns {maxmemory-policy, '' or the error of a write, commands that the user may not run, 1 if it may not touch a key of
-- P, 1 if it may not publish to P:wake}.
--
-- Rights are looked at before arguments, and arguments before anything is written, so each command gets one that it
-- refuses, or a key that is never there. SADD takes any argument, so it is tried on P:epoch, which is a hash; before the first
-- rebuild, when that is not there, what it adds is taken away at once.
--
-- Makes impossible: a script that stops in the middle since a right for its second half is missing.

local prefix = ARGV[1]
local key = prefix .. ':probe'
local missing, refusal, no_key, no_channel = {}, '', 0, 0

-- What Redis said of a right, in the words of 6.2 and of 7 and later; other errors are wanted, or tell of its state.
local function heed(reply, command)
    local text = type(reply) == 'table' and reply.err
    if not text then
        return
    end
    local said = string.lower(text)
    if string.find(said, 'permission', 1, true) or string.find(said, 'user executing the script', 1, true) then
        if string.find(said, 'to run the', 1, true) or string.find(said, 'run this command', 1, true) then
            missing[#missing + 1] = command
        elseif string.find(said, 'channel', 1, true) then
            no_channel = 1
        else
            no_key = 1
        end
    elseif refusal == '' and (string.find(text, '^%-?[A-Z]+ ') or string.find(said, 'unknown', 1, true)) then
        local code = string.match(text, '^%-?([A-Z]+) ')
        if string.find(said, 'unknown', 1, true) or (code ~= 'ERR' and code ~= 'WRONGTYPE' and code ~= 'NOGROUP') then
            refusal = text
        end
    end
end

-- XADD first: memory is looked at only for the first write of a script, and only for one that may need some.
local tries = {
    {'XADD', key, 'none', 'f', 'v'},
    {'TIME'}, {'INFO', 'server'}, {'PUBLISH', prefix .. ':wake', ''},
    {'DEL', key}, {'GET', key}, {'INCRBY', key, 'none'}, {'PEXPIRE', key, 1},
    {'HDEL', key, 'f'}, {'HGET', key, 'f'}, {'HGETALL', key}, {'HINCRBY', key, 'f', 'none'}, {'HKEYS', key},
    {'HMGET', key, 'f'}, {'HSET', key, 'f', 'v', 'odd'},
    {'SCARD', key}, {'SMEMBERS', key}, {'SRANDMEMBER', key, 1}, {'SREM', key, 'm'},
    {'XACK', key, 'g', '0-0'}, {'XDEL', key, '0-0'}, {'XGROUP', 'CREATE', key, 'g', '0'},
    {'XGROUP', 'DELCONSUMER', key, 'g', 'c'}, {'XINFO', 'CONSUMERS', key, 'g'}, {'XINFO', 'GROUPS', key}, {'XLEN', key},
    {'XPENDING', key, 'g'}, {'XRANGE', key, '-', '+'}, {'XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', key, '>'},
    {'ZADD', key, 'none', 'm'}, {'ZCARD', key}, {'ZCOUNT', key, 0, 0}, {'ZMSCORE', key, 'm'}, {'ZRANGE', key, 0, 0},
    {'ZRANGEBYSCORE', key, 0, 0}, {'ZREM', key, 'm'}, {'ZREMRANGEBYSCORE', key, 0, 0}, {'ZREVRANGE', key, 0, 0},
    {'ZSCORE', key, 'm'},
}
local may_remove = true
for _, try in ipairs(tries) do
    local command = string.lower(try[1])
    if command == 'xgroup' or command == 'xinfo' then
        command = command .. '|' .. string.lower(try[2])
    end
    local reply = redis.pcall(unpack(try))
    heed(reply, command)
    if command == 'srem' then
        may_remove = not (type(reply) == 'table' and reply.err)
    end
end
if type(redis.pcall('HGET', KEYS[1], 'number')) == 'string' then
    heed(redis.pcall('SADD', KEYS[1], 'm'), 'sadd')
elseif may_remove then
    heed(redis.pcall('SADD', key, 'm'), 'sadd')
    redis.pcall('SREM', key, 'm')
end
-- A pattern may name some of the keys only.
for index = 2, #ARGV do
    heed(redis.pcall('XLEN', ARGV[index]))
    heed(redis.pcall('XDEL', ARGV[index], '0-0'))
end
local memory = redis.pcall('INFO', 'memory')
local policy = type(memory) == 'string' and string.match(memory, 'maxmemory_policy:([%w-]+)') or ''
return {policy, refusal, missing, no_key, no_channel}
