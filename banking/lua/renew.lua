-- Keep a lease.
--
-- KEYS  1 lease
-- ARGV  token, lease (ms; 0 gives it up)
-- RESULT 1 kept (or given up), 0 somebody else has it, or it ran out

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then redis.call('DEL', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
