-- Take the lease on restoring a ledger, and stop everybody from serving what is about to be replaced.
--
-- KEYS  1 meta  2 lease  3 epoch counter
-- ARGV  token, lease (ms), highest epoch known from the archive
-- RESULT the number of the new epoch, never used before on this Redis nor in the archive; 0: another has the lease
--
-- Until `switch` the ledger's epoch reads "restoring", which fences every commit, submit and seal.

if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
local known = redis.call('HGET', KEYS[1], 'epoch')
if known and known ~= 'restoring' then redis.call('HSET', KEYS[1], 'fenced', known) end
redis.call('HSET', KEYS[1], 'epoch', 'restoring')
local highest = math.max(tonumber(redis.call('GET', KEYS[3]) or '0'), tonumber(ARGV[3]),
  tonumber(redis.call('HGET', KEYS[1], 'fenced') or '0'))
redis.call('SET', KEYS[3], string.format('%.0f', highest + 1))
return highest + 1
