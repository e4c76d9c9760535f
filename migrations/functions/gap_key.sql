-- With a hash of the recipient's phone key: the lock of gates that keep the gap between two messages to one person.
create or replace function gap_key() returns integer language sql immutable parallel safe as $$ select 1677721 $$;
