-- `now` in ms: the clock of Redis, which all services share, unless ARGV[1] gives a time, as only tests do.
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
end
