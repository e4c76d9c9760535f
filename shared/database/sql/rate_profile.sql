-- name: changes
select rate_profile from control

-- name: lock_changes
select rate_profile from control for update

-- name: store_changes
update control set rate_profile = $1
