-- needs: gap_key, gate_key, sendable

-- Planned anew with each call, for a plan made while the table was empty scanned 600,000 rows for each of the 100 asked for, for
-- minutes. Planning is then most of it for a few messages: so statements are few, and each says between which ids its messages
-- are, constants to the planner, which plans for their months instead of all there are (with twelve months of history fifteen
-- partitions, at several places each; a join alone does not say so. The list of ids does, and cost a third more with 100
-- messages: each was looked at for each month.) Who is being written to stands in the open attempt for the same reason.
--
-- It keeps the gap between two messages of campaigns to one person, which peek alone cannot: two accounts that look at the same
-- moment both see nobody writing.
create or replace function gate(
    p_epoch bigint,
    p_dispatcher text,
    p_messages uuid[],
    p_numbers integer[],
    p_tokens uuid[],
    p_endpoints text[],
    p_slots integer[],
    p_seconds integer[],
    p_gaps double precision[] default null
) returns table (token uuid, outcome text) language plpgsql volatile
set plan_cache_mode = force_custom_plan
-- A gate that waits for a row makes a stopper wait, and every later gate behind it; it is repeated instead.
set lock_timeout = '200ms'
as $$
-- Begins attempts. For each token: 'passed' (its POST may leave within START_LIMIT), 'refused' (the row has moved on or
-- something forbids it), 'put_back' (the message may begin, but not through this endpoint now), 'later' (its recipient has
-- or gets another message within the gap), 'void' (the epoch is old). Repeating a call whose answer was lost passes again
-- for the same tokens and for nobody else. The arrays are sorted by message and have no message twice. p_seconds: how long
-- from now until nobody can wait for the answer. p_gaps: seconds since the recipient's last message at least, 0 none; null
-- stands for none at all, and costs nothing.
declare
    v_begun uuid[];
    v_later uuid[] := '{}';
    v_first uuid;
    v_last uuid;
begin
    select (array_agg(x order by x))[1], (array_agg(x order by x desc))[1] into v_first, v_last from unnest(p_messages) x;
    perform pg_advisory_xact_lock_shared(gate_key());
    if (select k.epoch from control k) is distinct from p_epoch then
        return query select t, 'void' from unnest(p_tokens) t;
        return;
    end if;

    if p_gaps is not null then
        -- One gate at a time for each of these people; in order, so that two that share some do not wait in a ring.
        perform pg_advisory_xact_lock(gap_key(), k.key) from (
            select distinct hashtext(m.phone_key) as key from unnest(p_messages, p_gaps) as a (message, gap)
            join messages m on m.id = a.message and m.id between v_first and v_last where a.gap > 0 order by 1) k;
        select coalesce(array_agg(x.message), '{}') into v_later from (
            select a.message, a.gap, m.phone_key, row_number() over (partition by m.phone_key order by a.message) as place
            from unnest(p_messages, p_gaps) as a (message, gap)
            join messages m on m.id = a.message and m.id between v_first and v_last where a.gap > 0) x
        where x.place > 1
            or exists (
                select from contacts c
                where c.phone_key = x.phone_key and c.last_sent_at > clock_timestamp() - make_interval(secs => x.gap))
            or exists (
                select from open_attempts o where o.phone_key = x.phone_key and o.token <> all (p_tokens));
    end if;

    -- Slots in their order, then messages in theirs: calls that share some of each wait for one another, but not in a ring.
    with opened as (
        insert into open_attempts
            (endpoint, slot, message, number, token, dispatcher, campaign, phone_key, started_at, deadline)
        select a.endpoint, a.slot, a.message, a.number, a.token, p_dispatcher, s.campaign, s.phone_key,
            clock_timestamp(), clock_timestamp() + make_interval(secs => a.seconds)
        from unnest(p_messages, p_numbers, p_tokens, p_endpoints, p_slots, p_seconds)
            as a (message, number, token, endpoint, slot, seconds)
        join sendable s on s.id = a.message and s.attempt = a.number - 1 and s.refusal is null
        where a.message <> all (v_later) and s.id between v_first and v_last
            and not exists (select from endpoints e where e.id = a.endpoint and e.suspended_at is not null)
        order by a.endpoint, a.slot
        on conflict do nothing
        returning open_attempts.message, open_attempts.number, open_attempts.token, open_attempts.endpoint,
            open_attempts.started_at
    ), begun as (
        update messages m set
            status = 'sending', attempt = o.number, token = o.token,
            endpoint = o.endpoint, reason = null, changed_at = o.started_at
        from (select * from opened x order by x.message) o
        where m.id = o.message and m.id between v_first and v_last
            and m.attempt = o.number - 1 and m.status in ('queued', 'retrying')
        returning m.id, m.token
    ), begins as (
        delete from due d using begun b where d.message = b.id
    )
    select array_agg(b.token) into v_begun from begun b;

    if cardinality(v_begun) = cardinality(p_tokens) then
        return query select t, 'passed' from unnest(p_tokens) t;
        return;
    end if;

    -- Opened, but another assignment of the same message was quicker: nothing began.
    delete from open_attempts o using messages m
    where o.token = any (p_tokens) and o.token <> all (coalesce(v_begun, '{}'))
        and m.id = o.message and m.id between v_first and v_last and m.token is distinct from o.token;

    return query
    select a.token,
        case
            when o.token is not null then 'passed'
            when s.attempt = a.number - 1 and s.refusal is null and a.message = any (v_later) then 'later'
            when s.attempt = a.number - 1 and s.refusal is null then 'put_back'
            else 'refused'
        end
    from unnest(p_tokens, p_messages, p_numbers) as a (token, message, number)
    left join open_attempts o on o.token = a.token
    left join sendable s on s.id = a.message and s.id between v_first and v_last;
end
$$;
