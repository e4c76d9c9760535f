create or replace function note_cold_contact(
    p_message uuid, p_endpoint text, p_seconds double precision, p_contacts integer, p_hold_seconds double precision
) returns boolean language plpgsql volatile
as $$
-- WhatsApp refused p_endpoint a new chat: not this recipient again through it for p_seconds; after p_contacts different
-- recipients within a day no new one at all for p_hold_seconds. Answers whether the account is held now.
declare
    v_count integer;
begin
    insert into cold_locks as l (phone_key, endpoint, until)
    select m.phone_key, p_endpoint, clock_timestamp() + make_interval(secs => p_seconds) from messages m where m.id = p_message
    on conflict (phone_key, endpoint) do update set locked_at = clock_timestamp(), until = excluded.until;
    -- With clock_timestamp(), which is volatile, the index would be read from the account's first lock on.
    select count(*) into v_count from cold_locks l
    where l.endpoint = p_endpoint and l.locked_at > statement_timestamp() - interval '1 day';
    if v_count < p_contacts then
        return false;
    end if;
    insert into endpoints as e (id, cold_held_until)
    values (p_endpoint, clock_timestamp() + make_interval(secs => p_hold_seconds))
    on conflict (id) do update set cold_held_until = excluded.cold_held_until;
    return true;
end
$$;
