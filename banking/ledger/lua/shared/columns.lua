-- Columns of fixed width in a script's arguments, and commands with more fields than a call takes.
--
-- KEYS, ARGV and RESULT are those of the script that includes it.

local function in_chunks(command, key, items)
  if #items > 0 and #items <= 4000 then return redis.call(command, key, unpack(items)) end
  local all = {}
  for first = 1, #items, 4000 do
    local part = redis.call(command, key, unpack(items, first, math.min(first + 3999, #items)))
    for i = 1, type(part) == 'table' and #part or 0 do all[#all + 1] = part[i] end
  end
  return all
end

local function split(text, size)
  local list = {}
  for i = 1, #text / size do list[i] = string.sub(text, (i - 1) * size + 1, i * size) end
  return list
end

local function index_at(text, place)
  local high, low = string.byte(text, 2 * place - 1, 2 * place)
  return high * 256 + low
end
