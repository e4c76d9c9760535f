-- name: whom_to_ask
-- Of the accounts $1 those that nobody has asked for $2 seconds, or for $3 while an outcome of theirs is to be looked up; each
-- goes to one caller.
insert into account_answers as a (endpoint, asked_at)
select e.id, clock_timestamp() from unnest($1::text[]) as e (id)
on conflict (endpoint) do update set asked_at = excluded.asked_at
where a.asked_at < clock_timestamp() - make_interval(secs => case
    when exists (
        select from unanswered_attempts u join due d on d.message = u.message and d.why = 'check'
        where u.endpoint = a.endpoint) then $3::double precision
    else $2 end)
returning endpoint

-- name: note_answer
select note_answer($1, $2, $3)

-- name: note_silence
insert into account_answers (endpoint, asked_at) values ($1, clock_timestamp())
on conflict (endpoint) do update set answering_since = null

-- name: paired_with
-- The accounts whose number is $1, as far as was last noticed.
select n.endpoint from account_numbers n
where n.jid = $1
    and not exists (select from account_numbers later where later.endpoint = n.endpoint and later.since > n.since)
order by n.endpoint
