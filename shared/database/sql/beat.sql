-- name: raise_beat
select raise_beat($1, $2)

-- name: stop_after_going_back
select stop_after_going_back($1, $2, $3)

-- name: present
select epoch, (select last_value from beat_number) as beat from control

-- name: durability
-- reset_val: what a connection gets that says nothing itself, such as one that pgbouncer lends.
select setting, reset_val from pg_settings where name = 'synchronous_commit'
