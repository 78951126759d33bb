-- The rows every test of /rest/v1 starts with.
set local synchronous_commit = off;
delete from public.parent_labels;
delete from public.labels;
delete from public.folders;
delete from public.children;
delete from public.details;
delete from public.parents;
delete from public.orgs;
delete from public."odd ""name%s";
insert into public.orgs values (1, 'one'), (2, 'two');
insert into public.parents (id, org_id, name, age, data, tags) overriding system value values
  (1, 1, 'Ada', 36, '{"blood": "A", "phones": [{"n": "1"}, {"n": "2"}], "size": 3}', '{a,b}'),
  (2, 1, 'Bob', null, '{"blood": "B"}', '{b}'),
  (3, 1, 'Cyd, "the" (x)', 20, '{}', '{}'),
  (4, 2, 'Dee', 50, '{}', '{c}');
insert into public.children (id, parent_id, sponsor_id, backup_id, title) overriding system value values
  (1, 1, 1, 2, 'first'), (2, 1, 2, null, 'second'), (3, 2, null, null, 'third');
insert into public.details values (1, 'a note');
insert into public."odd ""name%s" values (1, 'kept');
insert into public.labels values (1, 'red'), (2, 'blue');
insert into public.parent_labels values (1, 1), (1, 2), (2, 2);
insert into public.folders values (1, null, 'root'), (2, 1, 'left'), (3, 1, 'right');
alter table public.parents alter column id restart with 101;
alter table public.children alter column id restart with 101;
