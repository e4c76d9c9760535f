-- The slots of an endpoint that are in the rota or in use, as {name, ready at (false: in use)}. `registered`: `slots` of the
-- endpoint's state, how many it has been given at most; below that some may be missing, such as those of an open endpoint or
-- those that were dropped first. A version that does not write it leaves no such gaps, so beyond it slots are followed as
-- long as there are any. Needs `prefix`.
local function slots_of(endpoint, registered)
    local found, number, there = {}, 0, nil
    repeat
        local slot = endpoint .. '/' .. number
        local ready_at = redis.call('ZSCORE', prefix .. ':rota', slot)
        there = ready_at or redis.call('ZSCORE', prefix .. ':busy', slot)
        if there then
            found[#found + 1] = {slot, ready_at and tonumber(ready_at)}
        end
        number = number + 1
    until not there and number > tonumber(registered or '0')
    return found
end
