-- needs: lid_key, note_conversation, note_number

create or replace function hear(
    p_endpoint text, p_phone_key text, p_phone text, p_lid text, p_whatsapp_id text, p_heard_at timestamptz
) returns table (phone_key text, phone text) language plpgsql volatile
as $$
#variable_conflict use_column
-- One message that came to (or was typed on) an account. p_phone_key and p_lid: of the person in a chat of two, each '' where it
-- is not said, both '' where nobody is to be bound. p_whatsapp_id '': it cannot be answered. p_endpoint '': nobody knows which
-- account. Answers who it was, no row: unknown. May be repeated.
declare
    v_key text := p_phone_key;
    v_phone text := p_phone;
begin
    if p_lid <> '' and p_phone_key <> '' then
        perform note_number(p_lid, p_phone_key, p_phone);
    elsif p_lid <> '' then
        select h.phone_key, h.phone into v_key, v_phone from hidden_numbers h where h.lid = p_lid;
        if not found then
            perform pg_advisory_xact_lock(lid_key(), hashtext(p_lid));
            select h.phone_key, h.phone into v_key, v_phone from hidden_numbers h where h.lid = p_lid;
        end if;
    end if;
    if p_endpoint <> '' and p_whatsapp_id <> '' then
        insert into inbound_ids (whatsapp_id, endpoint) values (p_whatsapp_id, p_endpoint) on conflict do nothing;
    end if;
    if p_endpoint <> '' and coalesce(nullif(v_key, ''), p_lid) <> '' then
        perform note_conversation(coalesce(nullif(v_key, ''), p_lid), p_endpoint, p_heard_at);
    end if;
    if v_key <> '' then
        return query select v_key, v_phone;
    end if;
end
$$;
