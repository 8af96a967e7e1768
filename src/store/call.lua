-- Reads KEYS and ARGV in the order in which call.rs writes them: the first part of the script, apply.lua is the
-- other. Whatever does not fit ends the script before it has looked at anything.

-- A double below 2^53 is the integer it was read from; 2^53 may have been 2^53 + 1.
local EXACT = 9007199254740992
-- What one call adds and touches at most. `unpack` gives an error near 8,000.
local MOST_EVENTS = 2000

-- Locals are found faster than globals.
local KEYS, ARGV, tonumber, abs, format, unpack = KEYS, ARGV, tonumber, math.abs, string.format, unpack
local next_key, next_arg = 0, 0
local key_types = {}

-- A key that is used as two types would fail halfway.
local function key(as)
  next_key = next_key + 1
  local name = KEYS[next_key]
  if not name then error('bad call: too few keys') end
  if (key_types[name] or as) ~= as then error('bad call: two uses of key ' .. name) end
  key_types[name] = as
  return name
end

local function text()
  next_arg = next_arg + 1
  local value = ARGV[next_arg]
  if not value then error('bad call: too few arguments') end
  return value
end

-- Exactly the texts that HINCRBY takes for a number: no leading zero, no plus, no space; and no more than a double
-- can tell from its neighbours.
local function is_integer(value)
  if not value or #value > 17 then return false end
  return value == '0' or (value:find('^-?[1-9]%d*$') and abs(tonumber(value)) < EXACT)
end

local function number()
  local value = text()
  if not is_integer(value) then error('bad call: not an integer') end
  return tonumber(value)
end

local function count(most)
  local value = number()
  if value < 0 or value > most then error('bad call: count out of range') end
  return value
end

-- Skips `length` arguments and returns the index of the first.
local function arguments(length)
  local first = next_arg + 1
  next_arg = next_arg + length
  if next_arg > #ARGV then error('bad call: too few arguments') end
  return first
end

-- 'id content id content …', hashes: any 64-bit integers. Both lists hold the ids; `members` the contents, too.
local function read_ids(events)
  local ids, members, n = {}, {}, 0
  for member in text():gmatch('%S+') do
    n = n + 1
    members[n] = member
    if n % 2 == 1 then ids[(n + 1) / 2] = member end
  end
  if n ~= 2 * events then error('bad call: not two hashes an event') end
  return ids, members
end

-- 'length length …': how many ids, from `first` on, go to each shard. One text for many, since what Lua does for each
-- argument is most of a call's time.
local function read_runs(first)
  local runs, n = {}, 0
  for length in text():gmatch('%S+') do
    local last = first + (tonumber(length) or 0) - 1
    if last < first then error('bad call: not a length') end
    n = n + 1
    runs[n] = {key = key('set'), first = first, last = last}
    first = last + 1
  end
  return runs, first
end

-- Ids of one generation that are looked up in the same tiers. Those of the tier that they are added to come first.
local function read_block(first)
  local block = {generation = number(), tier = count(9), capacity = number(), lookups = {}}
  local last
  block.lookups[1], last = read_runs(first)
  for i = 2, 1 + count(1000) do
    local runs, same = read_runs(first)
    if same ~= last then error('bad call: a lookup of other ids') end
    block.lookups[i] = runs
  end
  return block, last
end

-- A hash to write to: 'name, value, name, value, …' in ARGV.
local function read_hash()
  local hash = {key = key('hash'), cells = count(100000)}
  hash.first_cell = arguments(2 * hash.cells)
  return hash
end

-- A tenant's month: cells 'name, value, name, value, …' in ARGV, and the users whose months have changed.
local function read_tenant()
  local tenant = {key = key('hash'), users_key = key('zset'), months_key = key('set'), month = text()}
  tenant.cells = count(100000)
  tenant.first_cell = arguments(2 * tenant.cells)
  tenant.users = count(MOST_EVENTS)
  -- 'cost, user, cost, user, …'
  tenant.first_user = arguments(2 * tenant.users)
  return tenant
end

local function read_change()
  return {
    verb = text(), kind = text(), member = text(), id = text(), time = number(), log = number(),
    saved = key('zset'), other_saved = key('zset'), tombstones = key('zset'), counts = key('hash'),
  }
end

local function read_call()
  local call = {
    state = key('hash'), tombstones = key('zset'), watermark = text(), expected = text(), target = text(), log = text(),
    log_time = number(), events = count(MOST_EVENTS), window = number(), keep_tombstones = number(),
    partitions = count(1000000), most_kinds = count(1000000), stamp = text(), next_stamp = text(),
    only_looks = text() == 'look', unrated = text(), unrated_from = text(),
    expire = text(), expires_all = text() == 'all', expire_keys = {}, blocks = {}, hashes = {}, tenants = {}, changes = {},
  }
  for i = 1, count(4096) do call.expire_keys[i] = key('set') end
  call.ids, call.members = read_ids(call.events)
  local first = 1
  for i = 1, count(MOST_EVENTS) do call.blocks[i], first = read_block(first) end
  if first ~= call.events + 1 then error('bad call: ids in no block') end
  call.months = count(MOST_EVENTS)
  call.first_month_key = next_key + 1
  for _ = 1, call.months do key('string') end
  call.first_month = arguments(call.months)
  for i = 1, count(3 * MOST_EVENTS) do call.hashes[i] = read_hash() end
  for i = 1, count(MOST_EVENTS) do call.tenants[i] = read_tenant() end
  for i = 1, count(2 * MOST_EVENTS) do call.changes[i] = read_change() end
  if next_key ~= #KEYS or next_arg ~= #ARGV then error('bad call: more keys or arguments than it says') end
  return call
end

