-- During a restore: take out of intake and dead letters what turned out to have its outcome.
--
-- KEYS  1 restorer (the lease)  2 intake  3 queued  4 parked  5 attempts  6 dead  7 dead-bytes  8 batches
-- ARGV  token, then up to 1,000 signatures
-- RESULT 1 done, 0 the lease is lost: nothing was done

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local names = {}
for i = 2, #ARGV do names[#names + 1] = ARGV[i] end
if #names > 0 then
  for _, id in ipairs(redis.call('HMGET', KEYS[2], unpack(names))) do
    -- A batch that one of it leaves is not whole any more (see accept.lua).
    local mark = id and #id == 16 and redis.call('HGET', KEYS[8], id .. 'w')
    if mark then
      redis.call('HDEL', KEYS[8], id .. 'w')
      redis.call('HSET', KEYS[8], id .. 'o', string.match(mark, '%d+$'))
    end
  end
  redis.call('HDEL', KEYS[2], unpack(names))
  redis.call('ZREM', KEYS[3], unpack(names))
  redis.call('ZREM', KEYS[4], unpack(names))
  redis.call('HDEL', KEYS[5], unpack(names))
  for i = 1, #names do
    local size = redis.call('HSTRLEN', KEYS[6], names[i])
    if redis.call('HDEL', KEYS[6], names[i]) == 1 then redis.call('DECRBY', KEYS[7], #names[i] + size) end
  end
end
return 1
