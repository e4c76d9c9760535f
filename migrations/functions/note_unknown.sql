create or replace function note_unknown() returns trigger language plpgsql
as $$
begin
    if new.status = 'unknown' then
        insert into unknown_messages (message, campaign, since) values (new.id, new.campaign, new.changed_at)
        on conflict do nothing;
    else
        delete from unknown_messages u where u.message = new.id;
    end if;
    return null;
end
$$;
