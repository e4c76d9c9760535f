create or replace function recent_sends(
    p_endpoints text[], p_first_id uuid, p_last_id uuid, p_attempts integer, p_seconds double precision, p_from uuid, p_to uuid
) returns table (endpoint text, attempts bigint, sent bigint, since_first double precision) language plpgsql stable
-- Planned without the values, it read the campaign's months by message id for each account: 8 s in place of 0.02 s.
set plan_cache_mode = force_custom_plan
as $$
-- What each account sent for a campaign lately: of its newest p_attempts attempts in the last p_seconds those that were of
-- messages between p_first_id and p_last_id, through attempts_by_endpoint, so a campaign of a million costs as little as one
-- of ten. Only attempts of messages between p_from and p_to are looked at, so that old months are not. statement_timestamp:
-- with clock_timestamp, which is volatile, the index was read from the account's first attempt on, 17 s with ten million.
begin
    return query
    select e.id, count(a.message),
        count(a.message) filter (where a.verdict = 'sent' and a.message between p_first_id and p_last_id),
        extract(epoch from clock_timestamp() - min(a.finished_at))::double precision
    from unnest(p_endpoints) as e (id)
    left join lateral (
        select t.message, t.verdict, t.finished_at from attempts t
        where t.endpoint = e.id and t.finished_at > statement_timestamp() - make_interval(secs => p_seconds)
            and t.message >= p_from and t.message <= p_to
        order by t.finished_at desc limit p_attempts
    ) a on true
    group by e.id;
end
$$;
