-- What was answered to requests with an Idempotency-Key.
--
-- A key is written by the statement or transaction that writes the work itself. So there is no claim that a crash could
-- leave behind: either both are there, or neither, and the next request with the key begins anew.

create table idempotency_keys (
    caller text not null,
    key text not null,
    request bytea not null,
    status smallint not null,
    body bytea not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (caller, key)
);
comment on column idempotency_keys.caller is 'Whose key it is: the same word of two callers is two keys.';
comment on column idempotency_keys.request is 'SHA-256 of what was asked for, however it was written.';
comment on column idempotency_keys.body is 'The body of the answer, byte for byte.';
create index idempotency_keys_by_age on idempotency_keys (created_at);
