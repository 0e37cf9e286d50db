-- Isolate.explain tells what would travel. What it says is asserted here,
-- not how it looks.
-- luacheck: globals spec_table spec_log

local Isolate  = require "isolate"
local json     = require "cjson"
local trip     = require "spec.fixtures.trip"
local geometry = require "spec.fixtures.geometry"

local function tells(value, ...)
  local text = Isolate.explain(value)
  for _, words in ipairs { ... } do
    if not text:find(words, 1, true) then
      error(("explain does not mention %q:\n%s"):format(words, text), 2)
    end
  end
end

-- The largest number of bytes that an explanation names: 1234 or 1,234 bytes.
local function bytes(value)
  local most = -1
  for n in Isolate.explain(value):gmatch "([%d,]+) bytes?" do
    local digits = n:gsub(",", "")
    most = math.max(most, math.tointeger(tonumber(digits)))
  end
  return most
end

describe("Isolate.explain", function()
  local values = {
    { "nil", nil }, { "a boolean", true }, { "a number", 12.5 }, { "a string", "text" },
    { "a table", { 1, { 2 } } }, { "a function", function() return json end },
    { "a class", geometry.Point }, { "a coroutine", coroutine.create(print) },
  }
  for _, case in ipairs(values) do
    it("returns a string for " .. case[1], function()
      local text = Isolate.explain(case[2])
      assert.equal("string", type(text))
      assert.truthy(#text > 0)
    end)
  end

  it("names the fields of tables", function()
    tells({ first = {}, inner = { second = { true } }, ["two words"] = {} },
      "first", "inner", "second", "two words")
  end)

  it("names upvalues and globals", function()
    spec_table = { depth = { 1 } }
    local counter = { start = { 5 } }
    tells(function() return counter, spec_table end, "counter", "start", "spec_table", "depth")
  end)

  it("does not name globals that the receiver has anyway", function()
    local text = Isolate.explain(function() return string.format "x", tostring(1) end)
    assert.is_nil(text:find("tostring", 1, true))
  end)

  it("names what goes by name", function()
    tells({ json }, "cjson")
    tells({ geometry.area }, "spec.fixtures.geometry", "area")
    local Point = geometry.Point
    tells(function() return json, Point end, "cjson", "spec.fixtures.geometry", "Point")
    tells(geometry.Point.new(1, 2), "spec.fixtures.geometry", "Point")
  end)

  it("tells the bytes of the whole", function()
    local long = ("x"):rep(10000)
    assert.truthy(bytes(long) >= 10000)
    assert.truthy(bytes { { { long } } } >= 10000)
    assert.truthy(bytes { "short" } > 5)
    assert.truthy(bytes { "short" } < 1000)
    assert.truthy(bytes { long, long .. "y" } >= 20001)
  end)

  it("tells the bytes of an upvalue", function()
    local table_of_names = {}
    for i = 1, 1000 do table_of_names[i] = "a name of some length " .. i end
    assert.truthy(bytes(function() return table_of_names end) >= 20000)
    assert.truthy(bytes(function() return 1 end) < 5000)
  end)

  it("counts a module as little", function()
    assert.truthy(bytes(json) < 200)
    assert.truthy(bytes { string, table, io, os, math } < 1000)
  end)

  it("tells what cannot go, where, and why", function()
    tells({ jobs = { 1, { callback = coroutine.create(print) } } },
      "jobs", "callback", "a coroutine stays in its isolate")
  end)

  it("tells of all that cannot go", function()
    local file = io.tmpfile()
    finally(function() file:close() end)
    function spec_log() return file end
    local port <close> = Isolate.ReceivePort()
    tells({ thread = coroutine.create(print), port = port, job = function() spec_log() end },
      "thread", "a coroutine stays in its isolate",
      "port", "a ReceivePort stays in its isolate",
      "spec_log", "file", "an open file stays in its isolate")
  end)

  it("tells of what cannot go among much that can", function()
    local list = {}
    for i = 1, 1000 do list[i] = { i } end
    list[500].callback = coroutine.create(print)
    tells(list, "[500]", "callback", "a coroutine stays in its isolate")
  end)

  -- With fifty or more of them it raised, and what it raised was a table.
  it("tells of the first fifty of all that cannot go", function()
    local list = {}
    for i = 1, 60 do list[i] = coroutine.create(print) end
    local text = Isolate.explain(list)
    assert.equal(50, select(2, text:gsub("%[%d+%]: cannot be sent: a coroutine stays in its isolate", "")))
    assert.match("^message: table, too much in it cannot be sent\n  %[1%]: cannot be sent: ", text)
  end)

  it("tells of a library that `require` cannot find", function()
    finally(function() package.loaded.spec_hand = nil end)
    package.loaded.spec_hand = json.new()
    tells({ package.loaded.spec_hand }, "`require` cannot find 'spec_hand'")
  end)

  it("tells of a class that forbids", function()
    tells({ setmetatable({}, { __name = "Door", __transfer = false }) },
      "a Door stays in its isolate")
  end)

  it("tells what __transfer would send", function()
    tells(geometry.box { treasure = ("x"):rep(5000) }, "treasure", "spec.fixtures.geometry")
    assert.truthy(bytes(geometry.box(("x"):rep(5000))) >= 5000)
  end)

  it("comes to an end with rings and with depth", function()
    local ring = { name = "ring" }
    ring.self = ring
    tells(ring, "self")
    local deep = {}
    for _ = 1, 20000 do deep = { deep } end
    assert.equal("string", type(Isolate.explain(deep)))
  end)

  it("counts what is shared once", function()
    local long = { ("x"):rep(10000) }
    assert.truthy(bytes { long, long, long, long } < 20000)
  end)

  it("sends nothing and changes nothing", function()
    local port <close> = Isolate.ReceivePort()
    local value = { 1, list = { 2, port.send_port } }
    Isolate.explain(value)
    assert.same({ 1, list = { 2, port.send_port } }, value)
    assert.same({ 1, list = { 2 } }, trip.here { 1, list = { 2 } })
    assert.same({ n = 2, nil, "timeout" }, table.pack(port:receive(0)))
  end)
end)
