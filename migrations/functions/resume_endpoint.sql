-- needs: gate_key

create or replace function resume_endpoint(p_endpoint text) returns void language plpgsql volatile
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
