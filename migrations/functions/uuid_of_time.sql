create or replace function uuid_of_time(p_time timestamptz) returns uuid language sql immutable strict
as $$
    -- The smallest UUIDv7 of that millisecond: 48 bits of Unix time, the rest zero.
    select (substr(hex, 1, 8) || '-' || substr(hex, 9, 4) || '-0000-0000-000000000000')::uuid
    from (select lpad(to_hex((extract(epoch from p_time) * 1000)::bigint), 12, '0')) as t (hex)
$$;
