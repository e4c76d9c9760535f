-- Puts an entry into its stream: that of its lane, or that of the endpoint in its field e. Needs `prefix`.
local function add_entry(lane, fields)
    local suffix = ':' .. lane
    if fields.e then
        suffix = ':endpoint:' .. fields.e .. ':' .. lane
        redis.call('SADD', prefix .. ':bound', fields.e)
    end
    local flat = {}
    for name, value in pairs(fields) do
        flat[#flat + 1] = name
        flat[#flat + 1] = value
    end
    redis.call('XADD', prefix .. suffix, '*', unpack(flat))
end
