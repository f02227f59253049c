-- Move one transaction from intake to the dead letters.
--
-- KEYS  1 meta  2 state  3 status  4 intake  5 queued  6 parked  7 attempts  8 dead
-- ARGV  epoch, signature, letter (packed)
-- RESULT 1 buried, 0 it has an outcome or was buried before
-- ERRORS STALE_EPOCH <current>

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch ~= ARGV[1] then
  return redis.error_reply('STALE_EPOCH ' .. (epoch or 'none'))
end
local signature = ARGV[2]
local buried = 0
if redis.call('HEXISTS', KEYS[3], signature) == 0 and redis.call('HSETNX', KEYS[8], signature, ARGV[3]) == 1 then
  buried = 1
  if redis.call('HEXISTS', KEYS[4], signature) == 0 then redis.call('HINCRBY', KEYS[2], 'accepted', 1) end
end
-- In either case it has its end now, and nothing may speak for it any more.
redis.call('HDEL', KEYS[4], signature)
redis.call('ZREM', KEYS[5], signature)
redis.call('ZREM', KEYS[6], signature)
redis.call('HDEL', KEYS[7], signature)
return buried
