create or replace function note_unanswered() returns trigger language plpgsql
as $$
begin
    if new.verdict = 'unknown' then
        insert into unanswered_attempts (message, number, endpoint, phone_key, started_at, finished_at)
        select new.message, new.number, new.endpoint, m.phone_key, new.started_at, new.finished_at
        from messages m where m.id = new.message
        on conflict do nothing;
    else
        delete from unanswered_attempts u where u.message = new.message and u.number = new.number;
    end if;
    return null;
end
$$;
