-- noted, version 1: how often things happened in this window and the one before.
--
-- KEYS[1]  P:epoch, which fixes the cluster slot; all other keys are P plus a suffix.
-- ARGV[1]  now in ms, '' = the clock of Redis
-- ARGV[2]  prefix P
-- ARGV[3]  width of a window in ms, as in note.lua
-- ARGV[4+] what
--
-- Returns the counts, in the order asked for. Changes nothing.

-- include: clock
local window = math.floor(now / tonumber(ARGV[3]))
local counts = {}
for index = 4, #ARGV do
    local key = ARGV[2] .. ':noted:' .. ARGV[index] .. ':'
    counts[#counts + 1] = tonumber(redis.call('GET', key .. window) or '0')
        + tonumber(redis.call('GET', key .. (window - 1)) or '0')
end
return counts
