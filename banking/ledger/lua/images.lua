-- Read what a slot's accounts hold, a bounded piece at a time.
--
-- KEYS  1 images_even or images_odd
-- ARGV  most bytes (a first record that is larger comes alone), then up to 4,000 account keys
-- RESULT the images of the first keys, as many as the bytes allow, one at least; nil for what is not there

local most, total, found = tonumber(ARGV[1]), 0, {}
for i = 2, #ARGV do
  total = total + redis.call('HSTRLEN', KEYS[1], ARGV[i])
  if total > most and i > 2 then break end
  found[i - 1] = redis.call('HGET', KEYS[1], ARGV[i])
end
return found
