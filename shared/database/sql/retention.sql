-- name: ensure_partitions
select ensure_partitions()

-- name: drop_old_partitions
select drop_old_partitions(make_interval(secs => $1))

-- name: forget_dropped
select forget_dropped($1)
