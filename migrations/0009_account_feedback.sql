-- Feedback: an account that turns bad is slowed, then suspended, and comes back by a trial. And what was told of alerts.
--
-- Where an account stands is here and not in Redis, which may be lost; its slowing reaches the dispatchers with the rate
-- profile, of which Redis has a copy, its suspension is that of an operator with another name on it.

create table account_feedback (
    endpoint text primary key,
    state text not null default 'normal' check (state in ('normal', 'slowed', 'suspended', 'trial')),
    since timestamptz not null default clock_timestamp(),
    judged_from timestamptz not null default clock_timestamp(),
    until timestamptz,
    cause text check (cause in ('errors', 'deliveries')),
    reason text,
    slow_factor integer not null default 1 check (slow_factor >= 1),
    suspensions integer not null default 0 check (suspensions >= 0),
    check ((until is not null) = (state = 'suspended')),
    check ((cause is null) = (state = 'normal'))
) with (fillfactor = 50);
comment on column account_feedback.judged_from is
    'Only what it sent after this is held against it: what it was slowed for must not suspend it as well.';
comment on column account_feedback.slow_factor is 'Its pauses between campaign messages are that many times as long.';
comment on column account_feedback.suspensions is 'In a row, without having been normal between them; each is longer.';

create table account_feedback_changes (
    id bigint generated always as identity primary key,
    endpoint text not null,
    changed_at timestamptz not null default clock_timestamp(),
    before text not null,
    after text not null,
    reason text not null
);
comment on table account_feedback_changes is 'What became of accounts and why, for whoever asks; kept for 90 days.';
create index account_feedback_changes_by_endpoint on account_feedback_changes (endpoint, changed_at desc);

alter table endpoints add column suspended_by text check (suspended_by in ('operator', 'feedback'));
comment on column endpoints.suspended_by is
    'Who: a suspension by feedback ends by a trial, an operator''s by the operator. Means nothing while suspended_at is null.';
update endpoints set suspended_by = 'operator' where suspended_at is not null;

create or replace function suspend_endpoint(p_endpoint text, p_reason text) returns void language plpgsql volatile
as $$
-- By an operator, who takes over what feedback may have suspended already.
begin
    perform pg_advisory_xact_lock(gate_key());
    insert into endpoints as e (id, suspended_at, suspend_reason, suspended_by)
    values (p_endpoint, clock_timestamp(), p_reason, 'operator')
    on conflict (id) do update set suspended_at = coalesce(e.suspended_at, excluded.suspended_at),
        suspend_reason = p_reason, suspended_by = 'operator';
end
$$;

create function change_account_feedback(
    p_endpoint text, p_before text, p_since timestamptz, p_after text, p_cause text, p_reason text, p_slow_factor integer,
    p_suspended_seconds double precision, p_suspensions integer
) returns boolean language plpgsql volatile
as $$
-- Moves an account from one state to another, with its suspension. Answers false where it is not in state p_before since
-- p_since any more: somebody else has judged it, so running twice is the same as once. p_since null: it has no row yet.
begin
    -- Before the rows, as everywhere; a suspension holds from the moment this returns.
    perform pg_advisory_xact_lock(gate_key());
    insert into account_feedback (endpoint) select p_endpoint where p_since is null on conflict do nothing;
    if p_since is null and not found then
        return false;
    end if;
    update account_feedback f set state = p_after, since = clock_timestamp(), judged_from = clock_timestamp(),
        until = case when p_after = 'suspended' then clock_timestamp() + make_interval(secs => p_suspended_seconds) end,
        cause = case when p_after <> 'normal' then p_cause end,
        reason = p_reason, slow_factor = p_slow_factor, suspensions = p_suspensions
    where f.endpoint = p_endpoint and f.state = p_before and (f.since = p_since or p_since is null);
    if not found then
        return false;
    end if;
    insert into account_feedback_changes (endpoint, before, after, reason) values (p_endpoint, p_before, p_after, p_reason);
    delete from account_feedback_changes c
    where c.endpoint = p_endpoint and c.changed_at < clock_timestamp() - interval '90 days';
    if p_after = 'suspended' then
        insert into endpoints as e (id, suspended_at, suspend_reason, suspended_by)
        values (p_endpoint, clock_timestamp(), p_reason, 'feedback')
        on conflict (id) do update set suspended_at = excluded.suspended_at, suspend_reason = excluded.suspend_reason,
            suspended_by = excluded.suspended_by
        where e.suspended_at is null;
    elsif p_before = 'suspended' then
        update endpoints e set suspended_at = null, suspend_reason = null, suspended_by = null
        where e.id = p_endpoint and e.suspended_by = 'feedback';
    end if;
    return true;
end
$$;

create function resume_endpoint(p_endpoint text) returns void language plpgsql volatile
as $$
-- By an operator. One that feedback had suspended goes on trial, and is slowed while it is.
begin
    perform pg_advisory_xact_lock(gate_key());
    update endpoints e set suspended_at = null, suspend_reason = null, suspended_by = null where e.id = p_endpoint;
    with resumed as (
        update account_feedback f set state = 'trial', since = clock_timestamp(), judged_from = clock_timestamp(),
            until = null
        where f.endpoint = p_endpoint and f.state = 'suspended'
        returning f.endpoint
    )
    insert into account_feedback_changes (endpoint, before, after, reason)
    select r.endpoint, 'suspended', 'trial', 'an operator resumed it' from resumed r;
end
$$;

create view own_rate_profiles as
select e.id,
    e.rate_profile || case when f.slow_factor > 1 then
        -- An operator may have slowed it further.
        jsonb_build_object('slow_factor', greatest(f.slow_factor, coalesce((e.rate_profile ->> 'slow_factor')::integer, 1)))
        else '{}' end as rate_profile
from endpoints e
left join account_feedback f on f.endpoint = e.id and f.state in ('slowed', 'trial');
comment on view own_rate_profiles is 'What of each account''s pace differs from the others'': by its operator, and by feedback.';

create table alerts (
    name text not null,
    endpoint text not null default '',
    severity text not null,
    text text not null,
    since timestamptz not null,
    seen_at timestamptz not null default clock_timestamp(),
    claim uuid,
    claimed_until timestamptz,
    sent_at timestamptz,
    primary key (name, endpoint)
) with (fillfactor = 50);
comment on table alerts is
    'Alerts that are on and of which somebody is told. Of several monitors the one that claims an alert tells of it.';
comment on column alerts.seen_at is 'When a monitor last found it on; one that none has found for a while is over.';
