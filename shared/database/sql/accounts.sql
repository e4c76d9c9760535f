-- name: ages
-- Days since each account was first seen here; one that is new is noted.
with new as (
    insert into endpoints (id) select unnest($1::text[]) order by 1 on conflict (id) do nothing
)
select e.id, coalesce(extract(epoch from clock_timestamp() - p.first_seen_at) / 86400, 0)::float8 as days
from unnest($1::text[]) as e (id) left join endpoints p on p.id = e.id
