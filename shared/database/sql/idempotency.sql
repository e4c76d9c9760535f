-- name: find_answers
-- In the order asked; null where there is none.
select k.request, k.status, k.body
from unnest($1::text[], $2::text[]) with ordinality as a (caller, key, place)
left join idempotency_keys k on k.caller = a.caller and k.key = a.key
order by a.place

-- name: try_key
-- Without waiting: whoever has it may be writing a million rows.
select pg_try_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 7205759403792794))

-- name: keep_answer
insert into idempotency_keys (caller, key, request, status, body) values ($1, $2, $3, $4, $5)
on conflict do nothing returning true

-- name: prune
delete from idempotency_keys k where k.ctid = any (array(
    select x.ctid from idempotency_keys x where x.created_at < statement_timestamp() - make_interval(secs => $1) limit $2))
