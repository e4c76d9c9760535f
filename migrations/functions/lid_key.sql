-- With a hash of the hidden id: the lock of its number and of what was said under it.
create or replace function lid_key() returns integer language sql immutable parallel safe as $$ select 1677723 $$;
