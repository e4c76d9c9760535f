-- With a hash of the phone key: the lock of one person's conversations.
create or replace function contact_key() returns integer language sql immutable parallel safe as $$ select 1677722 $$;
