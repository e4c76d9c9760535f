-- What the runs in any order look at after each step.

-- Every change of a message, also those between two looks.
create table seen_changes (old text not null, new text not null, attempts integer not null);
create function see_change() returns trigger language plpgsql as $$
begin
    insert into seen_changes values (old.status, new.status, new.attempt - old.attempt);
    return null;
end $$;
create trigger see_change after update on messages for each row execute function see_change();

-- A row here breaks a promise.
create view wrong as
select 'nothing leads to it any more' as what, id from (
select m.id from messages m
where m.status in ('queued', 'retrying', 'sending')
    and not exists (select from due d where d.message = m.id)
    and not exists (select from open_attempts o where o.message = m.id and o.token = m.token)
    and not (m.status <> 'sending' and exists (
        select from chunks k
        where k.campaign = m.campaign and m.id between k.first_id and k.last_id and k.closed_at is null))
) as lost
union all
select 'its counts are not its messages', token from (
select c.token from campaigns c
left join lateral (
    select coalesce(sum(sent), 0) sent, coalesce(sum(failed), 0) failed, coalesce(sum(unknown), 0) unknown,
        coalesce(sum(canceled), 0) canceled, coalesce(sum(expired), 0) expired, coalesce(sum(suppressed), 0) suppressed
    from campaign_counts n where n.campaign = c.token) n on true
left join lateral (
    select count(*) filter (where status = 'sent') sent, count(*) filter (where status = 'failed') failed,
        count(*) filter (where status = 'unknown') unknown, count(*) filter (where status = 'canceled') canceled,
        count(*) filter (where status = 'expired') expired, count(*) filter (where status = 'suppressed') suppressed
    from messages m where m.campaign = c.token) r on true
where (n.sent, n.failed, n.unknown, n.canceled, n.expired, n.suppressed)
    is distinct from (r.sent, r.failed, r.unknown, r.canceled, r.expired, r.suppressed)
) as counts
union all
select 'the list of unknown outcomes is not true', id from (
select coalesce(m.id, u.message) as id
from (select id, campaign from messages where status = 'unknown') m
full join unknown_messages u on u.message = m.id and u.campaign is not distinct from m.campaign
where m.id is null or u.message is null
) as listed
union all
select 'an attempt number was used twice', id from (
select m.id from messages m
where m.attempt < (select count(*) from attempts a where a.message = m.id)
        + (select count(*) from open_attempts o where o.message = m.id)
    or exists (select from attempts a where a.message = m.id and a.number not between 1 and m.attempt)
    or exists (
        select from open_attempts o
        where o.message = m.id and (o.number not between 1 and m.attempt or exists (
            select from attempts a where a.message = m.id and a.number = o.number)))
) as numbers;
