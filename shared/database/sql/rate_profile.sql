-- name: changes
select rate_profile from control

-- name: published
-- The changes for all, and under 'endpoints' those of single accounts, if there are any.
select k.rate_profile || coalesce(
    (select jsonb_build_object('endpoints', jsonb_object_agg(e.id, e.rate_profile))
        from own_rate_profiles e where e.rate_profile <> '{}' having count(*) > 0), '{}')
from control k

-- name: lock_endpoint
-- After the row of the changes for all: who changes those looks at the accounts', too.
insert into endpoints as e (id) values ($1) on conflict (id) do update set id = excluded.id returning e.rate_profile

-- name: store_endpoint
update endpoints set rate_profile = $2 where id = $1

-- name: lock_changes
select rate_profile from control for update

-- name: store_changes
update control set rate_profile = $1
