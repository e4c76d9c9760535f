-- name: postpone
-- Has message $1 enqueued again in $2 seconds: by its due row, or by its chunk where it has none yet. The chunk's messages
-- come back together, so their times are rounded up to five minutes: people who had a message at different times in an
-- afternoon must not bring back all others each time.
with delayed as (
    update due d set due_at = clock_timestamp() + make_interval(secs => $2), enqueued_at = null
    where d.message = $1 and d.why <> 'check'
    returning d.message
)
update chunks h set again_at = w.at
from messages m,
    (select to_timestamp(ceil((extract(epoch from clock_timestamp()) + $2::double precision) / 300) * 300) as at) w
where m.id = $1 and m.status = 'queued' and not exists (select from delayed)
    and h.campaign = m.campaign and m.id between h.first_id and h.last_id and h.closed_at is null
    and (h.again_at is null or h.again_at > w.at)

-- name: wait_alone
select wait_alone($1, $2, $3)

-- name: wake_held
select held_for, message from wake_held($1, $2, $3)
