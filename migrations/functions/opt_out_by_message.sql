-- needs: gate_key

create or replace function opt_out_by_message(p_phone_key text, p_phone text, p_said_at timestamptz) returns boolean language plpgsql volatile
as $$
-- As opt_out, from campaigns alone; an opt-out that is there stays as it is. Answers whether it is new.
declare
    v_new boolean;
begin
    perform pg_advisory_xact_lock(gate_key());
    insert into optouts as o (phone_key, phone, scope, source, said_at)
    values (p_phone_key, p_phone, 'bulk', 'message', p_said_at)
    -- Said again later: an older word to come back, delivered late, must not undo it.
    on conflict (phone_key) do update set said_at = greatest(o.said_at, excluded.said_at) where o.source = 'message'
    returning xmax = 0 into v_new;
    return coalesce(v_new, false);
end
$$;
