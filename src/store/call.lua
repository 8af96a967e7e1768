-- Reads KEYS and ARGV in the order in which call.rs writes them: the first part of the script, apply.lua is the
-- other. Whatever does not fit ends the script before it has looked at anything.

-- A double below 2^53 is the integer it was read from; 2^53 may have been 2^53 + 1.
local EXACT = 9007199254740992
-- A safe distance below 2^63, above EXACT too.
local SUM_LIMIT = 9.2e18

-- Locals are found faster than globals.
local KEYS, ARGV, tonumber, abs, format = KEYS, ARGV, tonumber, math.abs, string.format
local next_key, next_arg = 0, 0
local key_types = {}

local function key(as)
  next_key = next_key + 1
  local name = KEYS[next_key]
  if not name then error('bad call: too few keys') end
  if key_types[name] and key_types[name] ~= as then error('bad call: two uses of key ' .. name) end
  key_types[name] = as
  return name
end

local function text()
  next_arg = next_arg + 1
  local value = ARGV[next_arg]
  if not value then error('bad call: too few arguments') end
  return value
end

-- Exactly the texts that HINCRBY takes for a number: no leading zero, no plus, no space.
local function is_integer(value)
  if not value or #value > 20 then return false end
  return value == '0' or (value:find('^-?[1-9]%d*$') and abs(tonumber(value)) <= SUM_LIMIT)
end

local function integer()
  local value = text()
  if not is_integer(value) then error('bad call: not a 64-bit integer') end
  return value
end

-- What is added to a sum.
local function increase()
  local value = integer()
  if value:sub(1, 1) == '-' then error('bad call: negative amount') end
  return value
end

-- A number that Lua itself reckons with.
local function number()
  local value = tonumber(integer())
  if abs(value) >= EXACT then error('bad call: number out of range') end
  return value
end

local function count(most)
  local value = number()
  if value < 0 or value > most then error('bad call: count out of range') end
  return value
end

-- 'field=amount field=amount …' as {field, amount, field, amount, …}. One text for many, since what Lua does for
-- each argument is most of a call's time.
local function read_fields(prefix)
  local packed, fields, at = text(), {}, 1
  while at <= #packed do
    local _, last, field, sum = packed:find('^(%S+)=(%d+) ?', at)
    if not last then error('bad call: not sums') end
    fields[#fields + 1] = prefix .. field
    fields[#fields + 1] = sum
    at = last + 1
  end
  return fields
end

-- 'index:id:content index:id:content …'; id and content are hashes: any 64-bit integers.
local function read_ids(shard)
  local packed, i, at = text(), 0, 1
  while at <= #packed do
    local _, last, index, id, content = packed:find('^(%d+):(-?%d+):(-?%d+) ?', at)
    if not last then error('bad call: not ids') end
    i = i + 1
    shard.index[i], shard.id[i], shard.content[i] = index, id, content
    at = last + 1
  end
  if i == 0 or i > 2000 then error('bad call: too few or too many ids') end
end

local function read_shard()
  local shard = {generation = integer(), lookups = {}, index = {}, id = {}, content = {}}
  for i = 1, count(64) do
    shard.lookups[i] = {generation = integer(), key = key('set')}
  end
  read_ids(shard)
  return shard
end

local function read_month()
  local month = {kind = text(), key = key('hash'), groups = {}}
  for i = 1, count(2000) do
    month.groups[i] = {name = 'group:' .. text(), fields = read_fields('')}
  end
  month.tools = read_fields('tool:')
  month.days_key, month.days_expire, month.days = key('hash'), number(), read_fields('')
  if month.kind == 'user' then
    month.users_key, month.user, month.cost = key('zset'), text(), increase()
  elseif month.kind == 'tenant' then
    month.months_key, month.month = key('set'), text()
  else
    error('bad call: unknown kind of month')
  end
  return month
end

local function read_change()
  return {
    verb = text(), kind = text(), member = text(), id = text(), time = number(), log = number(),
    saved = key('zset'), tombstones = key('zset'), counts = key('hash'),
  }
end

local function read_call()
  local call = {
    state = key('hash'), tombstones = key('zset'), watermark = text(), expected = text(), target = text(),
    log = text(), log_time = number(), applied = increase(), window = number(), keep_tombstones = number(),
    partitions = count(1000000),
    expire = text(), expire_keys = {}, shards = {}, months = {}, changes = {},
  }
  if call.expire ~= '' and not is_integer(call.expire) then error('bad call: not a generation') end
  for i = 1, count(4096) do call.expire_keys[i] = key('set') end
  for i = 1, count(2000) do call.shards[i] = read_shard() end
  for i = 1, count(8000) do call.months[i] = read_month() end
  for i = 1, count(4000) do call.changes[i] = read_change() end
  if next_key ~= #KEYS or next_arg ~= #ARGV then error('bad call: more keys or arguments than it says') end
  return call
end

