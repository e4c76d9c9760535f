-- name: killers
select m.id from messages m
where m.id = any ($1) and m.crashes >= $2 and m.status in ('queued', 'retrying')
