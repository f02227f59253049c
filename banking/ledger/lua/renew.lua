-- Keep the restore lease, and tell how far the restore is.
--
-- KEYS  1 restorer (the lease)  2 progress
-- ARGV  token, lease (ms; 0 gives it up), then facts for the progress hash (pairs, may be none)
-- RESULT 1 kept (or given up), 0 somebody else has it, or it ran out

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1], KEYS[2])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  if #ARGV > 2 then redis.call('HSET', KEYS[2], unpack(ARGV, 3)) end
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
return 1
