-- The lock of whoever raises the beat number.
create or replace function beat_key() returns bigint language sql immutable parallel safe as $$ select 7205759403792794 $$;
