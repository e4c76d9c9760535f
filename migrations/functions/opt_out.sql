-- needs: gate_key

create or replace function opt_out(p_phone_key text, p_phone text, p_scope text) returns optouts language plpgsql volatile
as $$
-- Under the gate's lock, so nothing that it forbids begins once this has returned. Waiting messages end as 'suppressed' when
-- their turn comes. Answers the row.
declare
    v_row optouts%rowtype;
begin
    perform pg_advisory_xact_lock(gate_key());
    insert into optouts as o (phone_key, phone, scope, source) values (p_phone_key, p_phone, p_scope, 'api')
    on conflict (phone_key) do update set phone = excluded.phone, scope = excluded.scope, source = 'api', said_at = null
    returning o.* into v_row;
    return v_row;
end
$$;
