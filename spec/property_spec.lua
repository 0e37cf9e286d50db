-- Random values, there and back: SPEC_SEED repeats a run, SPEC_COUNT makes
-- it longer. A value is made of its seed and its number alone.

local Isolate  = require "isolate"
local json     = require "cjson"
local helper   = require "spec.helper"
local geometry = require "spec.fixtures.geometry"
local shout    = require "spec.fixtures.shout"
local Stack    = require "spec.fixtures.stack"

local seed  = math.tointeger(tonumber(os.getenv "SPEC_SEED")) or os.time()
local count = math.tointeger(tonumber(os.getenv "SPEC_COUNT") or 3000 // helper.slow)

local random = math.random

local function pick(list) return list[random(#list)] end

-- What arrives as itself, by the name we compare it by.
local named = {
  [geometry] = "geometry", [geometry.area] = "area", [geometry.Point] = "Point",
  [geometry.Box] = "Box", [shout] = "shout", [Stack] = "Stack", [json] = "json",
  [json.encode] = "encode", [json.null] = "null", [string.format] = "format",
  [print] = "print", [string] = "string", [_G] = "_G", [Isolate] = "Isolate",
  [ipairs {}] = "a C function of no module",
  [Isolate.Capability()] = "one capability", [Isolate.Capability()] = "another",
  [Isolate.current] = "a handle",
  [debug.upvalueid(function() return json end, 1)] = "a light userdata",
}
for i = 1, 3 do
  local port = Isolate.ReceivePort()
  named[port.send_port] = "port " .. i
  port:close()
end

local things = {}
for value in pairs(named) do things[#things + 1] = value end
table.sort(things, function(a, b) return named[a] < named[b] end)

-- Making values ------------------------------------------------------------

local odd_numbers = {
  0, 0.0, -0.0, 1 / 0, -1 / 0, 0 / 0, math.maxinteger, math.mininteger,
  2.0 ^ 53, 2.0 ^ 63, 5e-324, 1 << 32, -(1 << 31), 127, 128, -128, -129, 65536,
}
local lengths = { 0, 1, 2, 5, 31, 32, 39, 40, 41, 127, 128, 255, 256, 1000 }

local function bytes(length)
  local list = {}
  for i = 1, length do list[i] = string.char(random(0, 255)) end
  return table.concat(list)
end

local simple = {
  function() return random(0, 1) == 0 end,
  function() return random(0) end,
  function() return random(-300, 300) end,
  function() return (random() - 0.5) * 10 ^ random(-20, 20) end,
  function() return pick(odd_numbers) end,
  function() return bytes(pick(lengths)) end,
  function() return "name" .. random(9) end,
  function() return pick(things) end,
}

local Local = { __name = "Local", kind = "a class of this file" }
Local.__index = Local

local kinds = {}

-- Any value. 'g' is the message so far: 'made' are the tables and functions
-- to refer back to, 'left' how many may still be made, 'keys' those used.
local function any(g, depth)
  local dice = random(100)
  if dice <= 20 and #g.made > 0 then return pick(g.made) end
  if dice <= 50 or g.left <= 0 or depth > 30 then return pick(simple)() end
  g.left = g.left - 1
  return pick(kinds)(g, depth + 1)
end

local function remember(g, value)
  g.made[#g.made + 1] = value
  return value
end

-- A key: a simple value, or a table that is known by its id.
local function key(g, depth)
  if random(8) == 1 and g.left > 0 then
    local k = kinds[1](g, depth + 1)
    g.keys = g.keys + 1
    rawset(k, "id", g.keys)
    return k
  end
  local k = pick(simple)()
  return k == k and k or "NaN"
end

kinds[1] = function(g, depth)
  local t = remember(g, {})
  for i = 1, random(0, 4) do rawset(t, i, any(g, depth)) end
  for _ = 1, random(0, 3) do rawset(t, key(g, depth), any(g, depth)) end
  return t
end

kinds[2] = function(g, depth)
  local meta = random(3) == 1 and kinds[1](g, depth) or pick { Local, geometry.Point, Stack }
  return setmetatable(kinds[1](g, depth), meta)
end

-- A long chain.
kinds[3] = function(g, depth)
  local t = any(g, depth)
  for i = 1, random(150) do t = { i, t } end
  return remember(g, { t })
end

-- Two functions with a shared upvalue, one of which knows itself.
kinds[4] = function(g, depth)
  local a, b
  local function get() return a, b, get end
  local function set(value) b = value end
  remember(g, get)
  remember(g, set)
  a, b = any(g, depth), any(g, depth)
  return pick { get, set }
end

-- A box, made anew on arrival; so what it holds must not lead back to it.
kinds[5] = function(g, depth)
  local inside = { made = {}, left = random(0, 3), keys = 1000 * depth }
  return remember(g, geometry.box(any(inside, depth)))
end

local function generate(number)
  math.randomseed(seed, number)
  local g = { made = {}, left = random(60), keys = 0 }
  return { any(g, 0), everything = g.made }, g
end

-- Comparing them -----------------------------------------------------------

-- A picture of 'value' in plain tables: a function is a table of its
-- upvalues, a table key is found by its id, a named value is its name.
local function picture(value)
  local seen, draw = {}, nil

  local function upvalue(f, i, content)
    local id = debug.upvalueid(f, i)
    if not seen[id] then
      seen[id] = { "upvalue" }
      seen[id].content = draw(content)
    end
    return seen[id]
  end

  local function draw_function(f)
    local drawn = { "function", debug.getinfo(f, "S").linedefined, upvalues = {} }
    seen[f] = drawn
    for i = 1, 255 do
      local name, content = debug.getupvalue(f, i)
      if not name then break end
      if name ~= "_ENV" then drawn.upvalues[name] = upvalue(f, i, content) end
    end
    return drawn
  end

  local function draw_table(t)
    local drawn = { "table", fields = {}, keyed = {} }
    seen[t] = drawn
    drawn.meta = draw(debug.getmetatable(t))
    for k, v in next, t do
      if named[k] then
        drawn.fields[named[k]] = draw(v)
      elseif type(k) == "table" then
        drawn.keyed[rawget(k, "id")] = { draw(k), draw(v) }
      else
        drawn.fields[k] = draw(v)
      end
    end
    return drawn
  end

  function draw(v)
    if named[v] then return named[v] end
    if type(v) == "table" then return seen[v] or draw_table(v) end
    if type(v) == "function" then return seen[v] or draw_function(v) end
    return v
  end

  return draw(value)
end

local function alike(a, b) return helper.same_structure(picture(a), picture(b)) end

-- Takes 'count' values there and back; says which one differs, and where.
local function check(go)
  for number = 1, count do
    local ok, same, path = pcall(function()
      local value = generate(number)
      return alike(value, go(value))
    end)
    if not (ok and same) then
      error(("SPEC_SEED=%d, value %d: %s"):format(seed, number,
        ok and "differs at " .. tostring(path) or tostring(same)), 0)
    end
  end
end

describe("the comparison", function()
  local shared, one, two = {}, {}, { {} }
  one[1], two[1][1] = one, two

  local function counter()
    local n = 0
    return { function() return n end, function(v) n = v end }
  end

  local different = {
    { "integers and floats", 1, 1.0 },
    { "0.0 and -0.0", 0.0, -0.0 },
    { "shared and equal", { shared, shared }, { {}, {} } },
    { "rings of one and of two", one, two },
    { "more and fewer keys", { a = 1 }, { a = 1, b = 2 } },
    { "metatables", setmetatable({}, Local), {} },
    { "classes", setmetatable({}, Stack), setmetatable({}, geometry.Point) },
    { "what tables are keys", { [{ id = 1 }] = 1 }, { [{ id = 2 }] = 1 } },
    { "values of upvalues", function() return shared end, function() return one end },
    { "upvalues shared or not", counter(), { counter()[1], counter()[2] } },
    { "names", print, json.encode },
  }
  for _, case in ipairs(different) do
    it("tells apart " .. case[1], function()
      assert.is_false((alike(case[2], case[3])))
    end)
  end

  it("finds values alike that were made alike", function()
    for number = 1, 50 do
      assert.is_true(alike(generate(number), generate(number)))
    end
  end)
end)

describe("a random value", function()
  it("arrives as it was within one isolate", function()
    local port <close> = Isolate.ReceivePort()
    check(function(value)
      port.send_port:send(value)
      return port:receive(60)
    end)
  end)

  it("comes back as it was from another isolate", function()
    local function echo(reply)
      local port <close> = Isolate.ReceivePort()
      reply:send(port.send_port)
      for _, message in port:messages() do
        if not message then break end
        reply:send(message)
      end
    end
    local port <close> = Isolate.ReceivePort()
    local future = Isolate.run(echo, port.send_port)
    local to = port:receive(60)
    check(function(value)
      to:send(value)
      return port:receive(60)
    end)
    to:send(nil)
    future:await()
  end)

  it("is refused whole when one thing in it cannot be sent", function()
    local port <close> = Isolate.ReceivePort()
    for number = 1, count // 3 do
      local value, g = generate(number)
      local tables = { value }
      for _, made in ipairs(g.made) do
        if type(made) == "table" and getmetatable(made) ~= geometry.Box then
          tables[#tables + 1] = made
        end
      end
      rawset(pick(tables), pick { "planted", 1, -1 }, coroutine.create(print))
      local ok, err = pcall(port.send_port.send, port.send_port, value)
      if ok or not err:find(": a coroutine stays in its isolate", 1, true) then
        error(("SPEC_SEED=%d, value %d: %s"):format(seed, number, err or "was sent"), 0)
      end
    end
    port.send_port:send "next"
    assert.equal("next", port:receive(60))
  end)
end)
