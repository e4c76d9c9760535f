create or replace function find_unanswered(p_check_seconds jsonb, p_limit integer default 500)
returns integer language plpgsql volatile
set plan_cache_mode = force_custom_plan
as $$
-- Attempts whose answer nobody can still be waiting for: their outcome is unknown and a check is due.
-- p_check_seconds: from the deadline to the check, by kind of message; a kind that is not among them, as a newer version
-- has it, waits for the longest. Answers how many it found.
declare
    v_found integer;
begin
    with overdue as (
        delete from open_attempts o where o.token in (
            select x.token from open_attempts x where x.deadline < clock_timestamp()
            order by x.deadline limit p_limit for update skip locked)
        returning o.*
    ), history as (
        insert into attempts (message, number, endpoint, dispatcher, verdict, reason, started_at, finished_at)
        select o.message, o.number, o.endpoint, o.dispatcher, 'unknown', 'no answer was recorded before its deadline',
            o.started_at, clock_timestamp()
        from overdue o
        on conflict do nothing
    ), waits as (
        insert into due (message, due_at, why, campaign, lane)
        select m.id,
            clock_timestamp() + make_interval(secs => coalesce(
                (p_check_seconds ->> m.kind)::double precision,
                (select max(s.value::double precision) from jsonb_each_text(p_check_seconds) s))),
            'check', m.campaign, m.lane
        from overdue o
        join messages m on m.id = o.message and m.status = 'sending' and m.token = o.token
        on conflict (message) do nothing
    )
    select count(*) into v_found from overdue;
    return v_found;
end
$$;
