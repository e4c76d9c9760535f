-- name: standings
-- A suspension of before this was told apart is an operator's.
select e.id as endpoint, coalesce(f.state, 'normal') as state, f.since, f.judged_from, f.until, f.cause, f.reason,
    coalesce(f.slow_factor, 1) as slow_factor, coalesce(f.suspensions, 0) as suspensions,
    case when p.suspended_at is not null then coalesce(p.suspended_by, 'operator') end as suspended_by,
    clock_timestamp() as now
from unnest($1::text[]) as e (id)
left join account_feedback f on f.endpoint = e.id
left join endpoints p on p.id = e.id

-- name: errors
-- Of the attempts that the accounts $1 began after $2, the newest $3 each, through attempts_by_endpoint: those that say
-- something about the account, and those against it. A number that was refused was refused by an account that works; one that
-- is logged out, or may not write to strangers, is dealt with as such; a dispatcher that died leaves the reason named here.
select e.id as endpoint,
    count(*) filter (where a.verdict in ('sent', 'refused', 'transient', 'unknown')) as attempts,
    count(*) filter (where a.verdict in ('transient', 'unknown')) as failed
from unnest($1::text[], $2::timestamptz[]) as e (id, begins)
left join lateral (
    select t.verdict, t.reason from attempts t
    where t.endpoint = e.id and t.finished_at > e.begins and t.started_at > e.begins
    order by t.finished_at desc limit $3
) a on not (a.verdict = 'unknown' and a.reason is not distinct from 'no answer was recorded before its deadline')
group by e.id

-- name: deliveries
-- Of the messages that the accounts $1 sent after $2, longer than $3 ago and not longer than $4 before that, the newest $5
-- each; only since the account's receipts come. Groups are left out: each of their members has a receipt of its own, or none.
select e.id as endpoint, t.last_at,
    count(m.receipt) as sent,
    count(*) filter (where m.receipt <> 'none') as delivered
from unnest($1::text[], $2::timestamptz[]) as e (id, begins)
left join receipt_times t on t.endpoint = e.id
left join lateral (
    select a.message from attempts a
    where t.first_at is not null and a.endpoint = e.id and a.verdict = 'sent'
        and a.started_at > greatest(t.first_at, e.begins)
        and a.finished_at < now() - $3::interval and a.finished_at > greatest(e.begins, now() - $3::interval - $4::interval)
    order by a.finished_at desc limit $5
) a on true
left join lateral (
    -- The limit forbids a plan that reads all messages and joins afterwards.
    select x.receipt from messages x where x.id = a.message and x.phone not like '%@g.us' limit 1
) m on true
group by e.id, t.last_at

-- name: change
select change_account_feedback($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: judge_anew
update account_feedback set judged_from = clock_timestamp() where endpoint = $1 and state = $2 and since = $3

-- name: history
select c.changed_at, c.before, c.after, c.reason
from account_feedback_changes c where c.endpoint = $1 order by c.changed_at desc, c.id desc limit $2
