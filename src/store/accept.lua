-- What an operator changes in one bucket's state: if a field still holds what the operator was shown, sets others;
-- otherwise changes nothing, since a worker has counted in between.
--
-- KEYS: the state. ARGV: the field, what it must hold ('' where it must not be there), then pairs of a field and its
-- new value ('' removes it).
--
-- Answers 1, or 0 when nothing was changed.

if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
for i = 3, #ARGV, 2 do
  if ARGV[i + 1] ~= '' then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
-- Last: a server that is full refuses to write and would still delete.
for i = 3, #ARGV, 2 do
  if ARGV[i + 1] == '' then redis.call('HDEL', KEYS[1], ARGV[i]) end
end
return 1
