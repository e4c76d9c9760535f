-- needs: gate_key

create or replace function change_account_feedback(
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
