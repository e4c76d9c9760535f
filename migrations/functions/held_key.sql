-- The lock of a hold for new contacts: shared by messages that begin to wait for its end, exclusive to end it.
create or replace function held_key() returns bigint language sql immutable parallel safe as $$ select 7205759403792795 $$;
