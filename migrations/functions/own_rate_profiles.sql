create or replace view own_rate_profiles as
select e.id,
    e.rate_profile || case when f.slow_factor > 1 then
        -- An operator may have slowed it further.
        jsonb_build_object('slow_factor', greatest(f.slow_factor, coalesce((e.rate_profile ->> 'slow_factor')::integer, 1)))
        else '{}' end as rate_profile
from endpoints e
left join account_feedback f on f.endpoint = e.id and f.state in ('slowed', 'trial');
comment on view own_rate_profiles is 'What of each account''s pace differs from the others'': by its operator, and by feedback.';
