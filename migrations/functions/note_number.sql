-- needs: lid_key, note_conversation, opt_out_by_message

create or replace function note_number(p_lid text, p_phone_key text, p_phone text) returns boolean language plpgsql volatile
as $$
-- An event named a hidden id and its number: kept, and what was said under the id alone becomes the person's. Answers whether
-- a word of theirs took effect.
declare
    v_wish unresolved_optouts%rowtype;
    v_heard conversations%rowtype;
begin
    if exists (
        select from hidden_numbers h
        where h.lid = p_lid and h.phone_key = p_phone_key and h.seen_at > clock_timestamp() - interval '30 days') then
        return false;
    end if;
    -- Nobody keeps a word under the id while its number is being noted; see keep_unresolved.
    perform pg_advisory_xact_lock(lid_key(), hashtext(p_lid));
    insert into hidden_numbers (lid, phone_key, phone) values (p_lid, p_phone_key, p_phone)
    on conflict (lid) do update set phone_key = excluded.phone_key, phone = excluded.phone, seen_at = excluded.seen_at;
    delete from unresolved_optouts u where u.lid = p_lid returning u.* into v_wish;
    if v_wish.wish = 'out' then
        perform opt_out_by_message(p_phone_key, p_phone, v_wish.said_at);
    elsif v_wish.wish = 'in' then
        delete from optouts o where o.phone_key = p_phone_key and o.source = 'message' and o.said_at < v_wish.said_at;
    end if;
    for v_heard in delete from conversations c where c.phone_key = p_lid returning c.* loop
        perform note_conversation(p_phone_key, v_heard.endpoint, v_heard.heard_at);
    end loop;
    return v_wish.lid is not null;
end
$$;
