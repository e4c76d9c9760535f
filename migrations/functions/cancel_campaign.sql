-- needs: gate_key

create or replace function cancel_campaign(p_token uuid) returns text language plpgsql volatile
as $$
-- Flips the campaign; the scheduler ends its waiting rows chunk by chunk.
declare
    v_status text;
begin
    perform pg_advisory_xact_lock(gate_key());
    select c.status into v_status from campaigns c where c.token = p_token for no key update;
    if v_status in ('running', 'scheduled', 'paused') then
        update campaigns set status = 'canceled' where token = p_token;
        return 'canceled';
    end if;
    return v_status;
end
$$;
