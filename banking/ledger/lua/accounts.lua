-- Read accounts, unless they are more than the caller has room for: then only tell how large they are.
--
-- KEYS   1 accounts  2 versions
-- ARGV   most bytes of records, then the account keys
-- RESULT {sizes} or {sizes, what is stored of each, versions}, each in the order of the keys; nil = absent, of size 0,
--        and no version of a plain account

local keys, sizes, total = {}, {}, 0
for i = 2, #ARGV do
  keys[i - 1] = ARGV[i]
  sizes[i - 1] = redis.call('HSTRLEN', KEYS[1], ARGV[i])
  -- A plain account is stored in less than its record (banking/ledger/stored_account.py).
  if sizes[i - 1] > 0 and sizes[i - 1] < 49 then sizes[i - 1] = 49 end
  total = total + sizes[i - 1]
end
if #keys == 0 or total > tonumber(ARGV[1]) then return {sizes} end
return {sizes, redis.call('HMGET', KEYS[1], unpack(keys)), redis.call('HMGET', KEYS[2], unpack(keys))}
