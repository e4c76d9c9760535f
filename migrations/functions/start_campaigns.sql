create or replace function start_campaigns(p_limit integer) returns setof uuid language sql volatile
as $$
-- Lets scheduled campaigns run whose time has come; answers them. Of two schedulers one starts each.
update campaigns c set status = 'running'
from (
    select x.token from campaigns x
    where x.finished_at is null and x.status = 'scheduled' and x.send_at <= clock_timestamp()
    order by x.send_at limit p_limit
    for no key update skip locked
) x
where c.token = x.token
returning c.token
$$;
