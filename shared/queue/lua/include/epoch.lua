-- Ends the script unless Redis is the server that was built for an epoch: what it holds is older than what was sent.
local epoch = redis.call('HMGET', KEYS[1], 'number', 'run_id', 'beat')
if not epoch[1] or epoch[2] ~= string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') then
    return {'REBUILD'}
end
