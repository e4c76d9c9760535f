-- The slots of an endpoint that are in the rota or in use, as {name, ready at (false: in use)}. `registered`: `slots` of the
-- endpoint's state, how many it has been given at most; below that some may be missing, such as those of an open endpoint or
-- those that were dropped first. A version that does not write it leaves no such gaps, so beyond it slots are followed as
-- long as there are any. Needs `prefix`.
local function slots_of(endpoint, registered)
    local found, number, ahead = {}, 0, tonumber(registered or '0')
    repeat
        -- Together, since a call from Lua costs several times the command in it.
        local slots = {}
        for next_number = number, number + ahead do
            slots[#slots + 1] = endpoint .. '/' .. next_number
        end
        local ready = redis.call('ZMSCORE', prefix .. ':rota', unpack(slots))
        local used = redis.call('ZMSCORE', prefix .. ':busy', unpack(slots))
        for index, slot in ipairs(slots) do
            if ready[index] or used[index] then
                found[#found + 1] = {slot, ready[index] and tonumber(ready[index])}
            end
        end
        number, ahead = number + #slots, 0
    until not ready[#slots] and not used[#slots]
    return found
end
