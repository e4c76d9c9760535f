-- needs: gate_key

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
