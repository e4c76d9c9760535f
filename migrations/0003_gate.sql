-- The gate, and every function that must not overlap it.
--
-- All of them take one advisory lock first: the gate shared, the others (pause, cancel, stop, opt-out, suspend, rebuild)
-- exclusively. So once one of those has returned, no attempt that it forbids can still begin. Each is VOLATILE, so that
-- every statement inside takes a snapshot younger than the lock; a lock inside one plain statement is too late, its
-- snapshot is older.

create function gate_key() returns bigint language sql immutable parallel safe as $$ select 7205759403792793 $$;

-- Why a message may not begin now; null: it may. The same sentence for peek, gate and feeding. It must stay so plain that
-- the planner merges it into the query around it: with clock_timestamp(), which is volatile, it read all messages, and a
-- gate of 20 took 0.3 s on 10,000 rows and minutes on a million.
create view sendable as
select
    m.id, m.attempt, m.campaign,
    case
        when m.status not in ('queued', 'retrying') then 'moved_on'
        when coalesce(m.expires_at, c.expires_at) <= statement_timestamp() then 'expired'
        when c.token is not null and c.status <> 'running' then 'campaign_not_running'
        when (select k.stopped_lanes from control k) @> array[m.lane] then 'stopped'
        when exists (
            select from optouts o
            where o.phone_key = m.phone_key and (o.scope = 'all' or m.lane = 'bulk')) then 'suppressed'
    end as refusal
from messages m
left join campaigns c on c.token = m.campaign;

create function gate(
    p_epoch bigint,
    p_dispatcher text,
    p_messages uuid[],
    p_numbers integer[],
    p_tokens uuid[],
    p_endpoints text[],
    p_slots integer[],
    p_seconds integer[]
) returns table (token uuid, outcome text) language plpgsql volatile
-- A plan made while the table was empty scanned 600,000 rows for each of the 100 asked for, for minutes.
set plan_cache_mode = force_custom_plan
-- A gate that waits for a row makes a stopper wait, and every later gate behind it; it is repeated instead.
set lock_timeout = '200ms'
as $$
-- Begins attempts. For each token: 'passed' (its POST may leave within START_LIMIT), 'refused' (the row has moved on or
-- something forbids it), 'put_back' (the message may begin, but not through this endpoint now), 'void' (the epoch is
-- old). Repeating a call whose answer was lost passes again for the same tokens and for nobody else. The arrays are
-- sorted by message and have no message twice. p_seconds: how long from now until nobody can wait for the answer.
declare
    v_begun uuid[];
begin
    perform pg_advisory_xact_lock_shared(gate_key());
    if (select k.epoch from control k) is distinct from p_epoch then
        return query select t, 'void' from unnest(p_tokens) t;
        return;
    end if;

    -- Slots in their order, then messages in theirs: calls that share some of each wait for one another, but not in a ring.
    insert into open_attempts (endpoint, slot, message, number, token, dispatcher, campaign, started_at, deadline)
    select a.endpoint, a.slot, a.message, a.number, a.token, p_dispatcher, s.campaign,
        clock_timestamp(), clock_timestamp() + make_interval(secs => a.seconds)
    from unnest(p_messages, p_numbers, p_tokens, p_endpoints, p_slots, p_seconds)
        as a (message, number, token, endpoint, slot, seconds)
    join sendable s on s.id = a.message and s.attempt = a.number - 1 and s.refusal is null
    where not exists (select from endpoints e where e.id = a.endpoint and e.suspended_at is not null)
    order by a.endpoint, a.slot
    on conflict do nothing;

    with begun as (
        update messages m set
            previous_status = m.status, status = 'sending', attempt = o.number, token = o.token,
            endpoint = o.endpoint, reason = null, changed_at = o.started_at
        from (select * from open_attempts x where x.token = any (p_tokens) order by x.message) o
        where m.id = o.message and m.attempt = o.number - 1 and m.status in ('queued', 'retrying')
        returning m.token
    )
    select array_agg(b.token) into v_begun from begun b;

    -- Opened, but another assignment of the same message was quicker: nothing began.
    delete from open_attempts o using messages m
    where o.token = any (p_tokens) and o.token <> all (coalesce(v_begun, '{}'))
        and m.id = o.message and m.token is distinct from o.token;

    delete from due d using open_attempts o where o.token = any (p_tokens) and d.message = o.message;

    return query
    select a.token,
        case
            when o.token is not null then 'passed'
            when s.attempt = a.number - 1 and s.refusal is null then 'put_back'
            else 'refused'
        end
    from unnest(p_tokens, p_messages, p_numbers) as a (token, message, number)
    left join open_attempts o on o.token = a.token
    left join sendable s on s.id = a.message;
end
$$;

create function add_campaign_counts(p_campaign uuid, p_shard integer, p_deltas jsonb) returns void language sql volatile
as $$
    insert into campaign_counts as c
        (campaign, shard, sent, failed, unknown, canceled, expired, suppressed, possible_duplicates)
    select p_campaign, p_shard, d.sent, d.failed, d.unknown, d.canceled, d.expired, d.suppressed, d.possible_duplicates
    from (
        select
            coalesce((p_deltas ->> 'sent')::integer, 0) as sent,
            coalesce((p_deltas ->> 'failed')::integer, 0) as failed,
            coalesce((p_deltas ->> 'unknown')::integer, 0) as unknown,
            coalesce((p_deltas ->> 'canceled')::integer, 0) as canceled,
            coalesce((p_deltas ->> 'expired')::integer, 0) as expired,
            coalesce((p_deltas ->> 'suppressed')::integer, 0) as suppressed,
            coalesce((p_deltas ->> 'possible_duplicates')::integer, 0) as possible_duplicates
    ) d
    on conflict (campaign, shard) do update set
        sent = c.sent + excluded.sent, failed = c.failed + excluded.failed, unknown = c.unknown + excluded.unknown,
        canceled = c.canceled + excluded.canceled, expired = c.expired + excluded.expired,
        suppressed = c.suppressed + excluded.suppressed,
        possible_duplicates = c.possible_duplicates + excluded.possible_duplicates
$$;
