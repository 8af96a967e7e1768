-- Takes notices that Kafka has out of a bucket's outbox, and lets them wait for the webhook where there is one. What is
-- no longer in the outbox was taken out by an earlier call, whose reply was lost: the webhook may have it by now.
--
-- KEYS: the outbox; those that wait for the webhook; when each of those is due.
-- ARGV: when they are due, in milliseconds ('' where there is no webhook), then the ids.

for i = 2, #ARGV do
  local event = redis.call('HGET', KEYS[1], ARGV[i])
  if event then
    if ARGV[1] ~= '' then
      redis.call('HSET', KEYS[2], ARGV[i], '- 0 ' .. event)
      redis.call('ZADD', KEYS[3], ARGV[1], ARGV[i])
    end
    redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
return #ARGV - 1
