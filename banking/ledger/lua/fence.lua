-- Take the lease on restoring a ledger, and stop everybody from serving what is about to be replaced.
--
-- KEYS  1 meta  2 restorer (the lease)  3 epochs (the counter)  4 leftovers
-- ARGV  token, lease (ms), highest epoch known from the archive, the epoch as it was when the restore was found
--       necessary ('none', 'restoring' or a number; '' = restore in any case)
-- RESULT the number of the new epoch, never used before on this Redis nor in the archive
--        0 another has the lease   -1 the epoch is another one meanwhile: look again before restoring
--
-- Until `switch` the ledger's epoch reads "restoring", which fences every commit, submit and seal.

local known = redis.call('HGET', KEYS[1], 'epoch')
if ARGV[4] ~= '' and (known or 'none') ~= ARGV[4] then return -1 end
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then
  -- A clock set back would keep the lease of a dead holder for as long as it was set back.
  if redis.call('PTTL', KEYS[2]) > tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
  return 0
end
if known and known ~= 'restoring' then
  redis.call('HSET', KEYS[1], 'fenced', known)
  redis.call('SADD', KEYS[4], 'e' .. known)
end
redis.call('SADD', KEYS[4], 'load-' .. ARGV[1])
redis.call('HSET', KEYS[1], 'epoch', 'restoring')
local highest = math.max(tonumber(redis.call('GET', KEYS[3]) or '0'), tonumber(ARGV[3]),
  tonumber(redis.call('HGET', KEYS[1], 'fenced') or '0'))
redis.call('SET', KEYS[3], string.format('%.0f', highest + 1))
return highest + 1
