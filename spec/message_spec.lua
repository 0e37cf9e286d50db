-- What a message carries, and how it arrives.
-- luacheck: globals spec_parcel

local Isolate  = require "isolate"
local json     = require "cjson"
local helper   = require "spec.helper"
local trip     = require "spec.fixtures.trip"
local geometry = require "spec.fixtures.geometry"
local settings = require "spec.fixtures.settings"
local shout    = require "spec.fixtures.shout"
local Stack    = require "spec.fixtures.stack"

local here, over = trip.here, trip.over

local light = debug.upvalueid(function() return json end, 1)
local next_of_ipairs = ipairs {}        -- a C function that no module holds

-- The same value of the same subtype; NaN is the same as NaN.
local function same(a, b)
  if math.type(a) ~= math.type(b) then return false end
  if a ~= a then return b ~= b end
  return rawequal(a, b) and (a ~= 0 or 1 / a == 1 / b)
end

local function sequence(n, f)
  local list = {}
  for i = 1, n do list[i] = f(i) end
  return list
end

local every_byte = table.concat(sequence(256, function(i) return string.char(i - 1) end))

local values = {
  { "false", false }, { "true", true },
  { "0", 0 }, { "1", 1 }, { "-1", -1 },
  { "the largest integer", math.maxinteger },
  { "the smallest integer", math.mininteger },
  { "0.0", 0.0 }, { "-0.0", -0.0 }, { "1.0", 1.0 }, { "0.1", 0.1 },
  { "2^53 as a float", 2.0 ^ 53 }, { "2^63", 2.0 ^ 63 },
  { "the smallest float", 5e-324 }, { "the largest float", 0x1.fffffffffffffp1023 },
  { "inf", math.huge }, { "-inf", -math.huge }, { "NaN", 0 / 0 },
  { "an empty string", "" }, { "a zero byte", "\0" },
  { "a string of 40 bytes", ("s"):rep(40) }, { "a string of 41 bytes", ("s"):rep(41) },
  { "a string of every byte", every_byte },
  { "a string of a million bytes", ("\0x"):rep(500000) },
  { "a null light userdata", json.null }, { "a light userdata", light },
}
for _, bits in ipairs { 7, 8, 14, 15, 16, 31, 32, 52, 53, 62 } do
  for _, near in ipairs { -1, 0, 1 } do
    local n = (1 << bits) + near
    table.insert(values, { tostring(n), n })
    table.insert(values, { tostring(-n), -n })
  end
end

local tables = {
  { "an empty table", {} },
  { "a list", { 1, 2, 3 } },
  { "more strings that come again than there are words", sequence(4000, function(i)
    return { name = "name " .. i % 400, ["key " .. i % 300] = "name " .. i % 7, [i % 2 == 0] = ("x"):rep(i % 300) }
  end) },
  { "strings of megabytes, and what comes after them", { ("a"):rep(17 << 20), 1, ("b"):rep(5 << 20), "end" } },
  { "a list with holes", { 1, nil, 3, nil, nil, 6, n = 7 } },
  { "a list and names together", { "a", "b", x = 1, y = 2, [-1] = "c" } },
  { "keys of every simple kind",
    { [true] = 1, [false] = 2, [1.5] = 3, [-7] = 4, [math.mininteger] = 5, [2.0 ^ 63] = 6,
      [math.huge] = 7, [""] = 8, ["a\0b"] = 9, [json.null] = 10, [light] = 11 } },
  { "tables in tables", { a = { b = { c = { {}, {}, { d = false } } } } } },
  { "a list of 100,000", sequence(100000, function(i) return i end) },
  { "100,000 names", (function()
    local t = {}
    for i = 1, 100000 do t["name" .. i] = i end
    return t
  end)() },
}

local named = {
  { "a module", geometry, "spec.fixtures.geometry" },
  { "a module that is a function", shout, "spec.fixtures.shout" },
  { "a module that is a class", Stack, "spec.fixtures.stack" },
  { "a module written in C", json, "cjson" },
  { "a library", string, "string" },
  { "the globals", _G, "_G" },
  { "isolate itself", Isolate, "isolate" },
  { "a function of a module", geometry.area, "spec.fixtures.geometry", "area" },
  { "a C function of a module", json.encode, "cjson", "encode" },
  { "a class of a module", geometry.Point, "spec.fixtures.geometry", "Point" },
  { "a function of a library", string.format, "string", "format" },
  { "a basic function", print, "_G", "print" },
  { "a function of isolate", Isolate.sleep, "isolate", "sleep" },
}

for _, way in ipairs(trip.ways) do
  local go = way.go

  describe("a message " .. way.where, function()
    for _, case in ipairs(values) do
      it("keeps " .. case[1], function()
        assert.is_true(same(case[2], (go(case[2]))))
      end)
    end

    it("keeps nil, as one value", function()
      assert.same({ n = 1 }, table.pack(go(nil)))
    end)

    for _, case in ipairs(tables) do
      it("copies " .. case[1], function()
        local got = go(case[2])
        assert.is_false(rawequal(case[2], got))
        assert.is_true(helper.same_structure(case[2], got))
      end)
    end

    it("brings a copy that is nobody else's", function()
      local original = { inner = {} }
      go(original).inner.changed = true
      assert.is_nil(original.inner.changed)
    end)

    it("keeps two references to one table one", function()
      local shared = {}
      local got = go { shared, { shared }, name = shared }
      assert.is_true(rawequal(got[1], got[2][1]))
      assert.is_true(rawequal(got[1], got.name))
    end)

    it("keeps two equal tables two", function()
      local got = go { {}, {} }
      assert.is_false(rawequal(got[1], got[2]))
    end)

    it("keeps a table that holds itself", function()
      local t = {}
      t.self = t
      local got = go(t)
      assert.is_true(rawequal(got, got.self))
    end)

    it("keeps a ring of tables", function()
      local a, b = {}, {}
      a.next, b.next = b, a
      local got = go(a)
      assert.is_false(rawequal(got, got.next))
      assert.is_true(rawequal(got, got.next.next))
    end)

    it("keeps a table that is its own key and value", function()
      local t = {}
      t[t] = t
      local got = go(t)
      assert.is_true(rawequal(got, got[got]))
    end)

    it("keeps tables as keys", function()
      local key = { id = 1 }
      local got = go { [key] = "found", key = key }
      assert.equal("found", got[got.key])
      assert.equal(1, got.key.id)
    end)

    it("keeps functions as keys", function()
      local function key() return "called" end
      local got = go { [key] = "found", key = key }
      assert.equal("found", got[got.key])
      assert.equal("called", got.key())
    end)

    it("keeps 10,000 tables inside one another", function()
      local t = { depth = 0 }
      for i = 1, 10000 do t = { depth = i, inner = t } end
      local got = go(t)
      for i = 10000, 0, -1 do
        if got.depth ~= i then error("differs at depth " .. i) end
        got = got.inner
      end
      assert.is_nil(got)
    end)

    it("brings a C function that no module holds", function()
      assert.is_true(rawequal(next_of_ipairs, go(next_of_ipairs)))
    end)

    for _, case in ipairs(named) do
      it("brings " .. case[1] .. " by name", function()
        assert.is_true(rawequal(case[2], (go(case[2]))))
      end)
    end

    it("brings an object of a module's class as one", function()
      local point = go(geometry.Point.new(3, 4))
      assert.is_true(rawequal(geometry.Point, getmetatable(point)))
      assert.equal(5.0, point:norm())
    end)

    it("brings an object of a module that is a class as one", function()
      local stack = go(Stack.new():push "a"):push "b"
      assert.is_true(rawequal(Stack, getmetatable(stack)))
      assert.is_true(helper.same_structure(Stack.new():push "a":push "b", stack))
    end)

    it("copies a plain table of a module", function()
      local got = go(geometry.defaults)
      assert.is_false(rawequal(geometry.defaults, got))
      assert.same({ unit = "cm" }, got)
    end)

    it("copies a module that holds no function", function()
      local got = go(settings)
      assert.is_false(rawequal(settings, got))
      assert.same({ width = 80, colours = { "red", "green" } }, got)
    end)

    it("copies any other class, once", function()
      local Animal = { __name = "Animal" }
      Animal.__index = Animal
      function Animal:speak() return self.sound end
      local got = go {
        setmetatable({ sound = "moo" }, Animal), setmetatable({ sound = "baa" }, Animal), Animal,
      }
      assert.equal("moo", got[1]:speak())
      assert.equal("baa", got[2]:speak())
      assert.is_true(rawequal(getmetatable(got[1]), got[3]))
      assert.is_true(rawequal(getmetatable(got[2]), got[3]))
      assert.is_false(rawequal(Animal, got[3]))
    end)

    it("brings a class that inherits from a module's", function()
      local Pixel = setmetatable({ colour = "red" }, geometry.Point)
      Pixel.__index = Pixel
      local got = go(setmetatable({ x = 3, y = 4 }, Pixel))
      assert.equal("red", got.colour)
      assert.equal(5.0, got:norm())
      assert.is_true(rawequal(geometry.Point, getmetatable(getmetatable(got))))
    end)

    it("keeps a metatable that hides itself", function()
      local got = go(setmetatable({ x = 1 }, { __metatable = "locked" }))
      assert.equal("locked", getmetatable(got))
      assert.equal(1, got.x)
    end)

    it("keeps a table that is its own metatable", function()
      local t = {}
      setmetatable(t, t)
      local got = go(t)
      assert.is_true(rawequal(got, getmetatable(got)))
    end)

    it("calls no metamethod", function()
      local function trap() error "a metamethod was called" end
      local meta = {}
      for _, event in ipairs { "index", "newindex", "len", "pairs", "eq", "call", "tostring",
                               "concat", "unm", "lt", "le", "add" } do
        meta["__" .. event] = trap
      end
      local got = go(setmetatable({ "first", name = "last" }, meta))
      assert.equal("first", rawget(got, 1))
      assert.equal("last", rawget(got, "name"))
      assert.equal("function", type(getmetatable(got).__newindex))
    end)

    it("keeps a weak table weak", function()
      local thing = {}
      local got = go { thing, weak = setmetatable({ thing }, { __mode = "v" }) }
      assert.is_true(rawequal(got[1], got.weak[1]))
      got[1] = nil
      collectgarbage()
      assert.is_nil(got.weak[1])
    end)

    it("keeps a send port equal to itself, as a value and as a key", function()
      local port <close> = Isolate.ReceivePort()
      local p = port.send_port
      local got = go { p, again = p, [p] = "found" }
      assert.is_true(p == got[1])
      assert.is_true(got[1] == got.again)
      assert.equal("found", got[p])
      assert.equal("found", got[got[1]])
    end)

    it("keeps two send ports two", function()
      local a <close> = Isolate.ReceivePort()
      local b <close> = Isolate.ReceivePort()
      local got = go { a.send_port, b.send_port }
      assert.is_true(got[1] ~= got[2])
      assert.is_true(got[1] ~= b.send_port)
    end)

    it("brings send ports that work", function()
      local port <close> = Isolate.ReceivePort()
      go(port.send_port):send "hello"
      assert.equal("hello", port:receive(60))
    end)

    it("keeps a capability equal to itself, as a value and as a key", function()
      local a, b = Isolate.Capability(), Isolate.Capability()
      local got = go { a, b, [a] = "found" }
      assert.is_true(got[1] == a)
      assert.is_true(got[1] ~= got[2])
      assert.equal("found", got[a])
      assert.is_nil(got[b])
    end)

    it("keeps a handle equal to itself", function()
      local got = go { Isolate.current, [Isolate.current] = "found" }
      assert.is_true(got[1] == Isolate.current)
      assert.equal("found", got[Isolate.current])
    end)
  end)
end

describe("a message to another isolate", function()
  it("keeps nil results and arguments, and their number", function()
    assert.same({ n = 4, nil, 1, nil, nil }, table.pack(over(nil, 1, nil, nil)))
    assert.same({ n = 0 }, table.pack(over()))
  end)

  it("has no limit of arguments below Lua's own", function()
    local list = sequence(250, function(i) return i end)
    assert.same(list, { over(table.unpack(list)) })
  end)

  it("keeps what function and arguments share", function()
    local t = {}
    local function compare(a, b) return rawequal(a, b), rawequal(a, t) end
    assert.same({ true, true }, { Isolate.run(compare, t, t):await() })
  end)

  it("keeps what results share", function()
    local a, b = over({}, {})
    assert.is_false(rawequal(a, b))
    local t = {}
    a, b = over(t, t)
    assert.is_true(rawequal(a, b))
  end)

  for _, case in ipairs(named) do
    it("finds " .. case[1] .. " there", function()
      local function found(value, module, field)
        local own = require(module)
        if field then own = own[field] end
        return own ~= nil and rawequal(own, value)
      end
      assert.is_true(Isolate.run(found, case[2], case[3], case[4]):await())
    end)
  end

  it("makes an object of a module's class one of the class there", function()
    local function check(point)
      return getmetatable(point) == require "spec.fixtures.geometry".Point
    end
    assert.is_true(Isolate.run(check, geometry.Point.new(1, 2)):await())
  end)

  it("finds a key by an equal send port there", function()
    local port <close> = Isolate.ReceivePort()
    local function find(t, key) return t[key] end
    assert.equal("found", Isolate.run(find, { [port.send_port] = "found" }, port.send_port):await())
  end)

  it("brings nil for a name of a library that is not there", function()
    local function look(m) return m.rename == nil, m.format == string.format end
    local message = { rename = os.rename, format = string.format }
    local future = Isolate.compute(look, message, { libs = { "string" } })
    assert.same({ true, true }, { future:await() })
  end)
end)

describe("a name", function()
  it("is not kept for what a module no longer holds", function()
    local area = geometry.area
    finally(function() geometry.area = area end)
    here(area)
    geometry.area = function() return "another" end
    assert.equal("another", here(geometry.area)())
    assert.is_true(rawequal(geometry.area, here(geometry.area)))
    assert.equal(6, here(area)(2, 3))
    assert.is_false(rawequal(geometry.area, here(area)))
  end)

  it("is found for a module that was loaded since the last message", function()
    finally(function()
      package.preload["spec.late"], package.loaded["spec.late"] = nil, nil
    end)
    here(geometry)
    package.preload["spec.late"] = function() return { greet = function() return "hi" end } end
    local late = require "spec.late"
    assert.is_true(rawequal(late, here(late)))
    assert.is_true(rawequal(late.greet, here(late.greet)))
  end)

  it("is not taken from a loaded value that is no module", function()
    finally(function() package.loaded["spec.truth"] = nil end)
    package.loaded["spec.truth"] = "just a string"
    assert.equal("just a string", over "just a string")
  end)
end)

describe("a module set by hand", function()
  it("is copied", function()
    finally(function() package.loaded["spec.hand"] = nil end)
    package.loaded["spec.hand"] = { double = function(n) return 2 * n end, name = "hand" }
    local got = over(package.loaded["spec.hand"])
    assert.equal(8, got.double(4))
    assert.equal("hand", got.name)
    assert.is_false(rawequal(package.loaded["spec.hand"], got))
  end)

  it("cannot be sent if it is written in C", function()
    finally(function() package.loaded.handmade = nil end)
    package.loaded.handmade = json.new()
    local text = "cannot send message.x: `require` cannot find 'handmade'"
    assert.equal(text, trip.unsent { x = package.loaded.handmade })
    assert.equal(text, trip.unsent { x = package.loaded.handmade.encode })
  end)
end)

-- __transfer ---------------------------------------------------------------

-- A class of this file; its objects hold parts and travel by them. The
-- count and the log are upvalues: the sender's count, the receiver's log.
local function new_class()
  local Class, count, log = { __name = "Parcel" }, 0, {}

  local function rebuild(name, ...)
    log[#log + 1] = name
    return setmetatable({ name = name, parts = table.pack(...), log = log, rebuilt = true }, Class)
  end

  function Class.__transfer(object)
    count = count + 1
    return rebuild, object.name, table.unpack(object.parts, 1, object.parts.n)
  end

  local function new(name, ...)
    return setmetatable({ name = name, parts = table.pack(...) }, Class)
  end
  return new, function() return count end, Class
end

for _, way in ipairs(trip.ways) do
  local go = way.go

  describe("__transfer " .. way.where, function()
    it("is called in the sender, and its rebuild in the receiver", function()
      local new = new_class()
      local got = go(new("a", 1, "two"))
      assert.is_true(got.rebuilt)
      assert.equal("a", got.name)
      assert.same({ n = 2, 1, "two" }, got.parts)
    end)

    it("keeps nil among the arguments of rebuild", function()
      local new = new_class()
      assert.same({ n = 3, nil, 2, nil }, go(new("a", nil, 2, nil)).parts)
    end)

    it("takes a rebuild from a module by name", function()
      local got = go(geometry.box { 1, 2 })
      assert.is_true(rawequal(geometry.Box, getmetatable(got)))
      assert.same({ 1, 2 }, got.content)
    end)

    it("runs the rebuilds innermost first", function()
      local new = new_class()
      local got = go(new("outer", new("middle", { deep = { new "inner" } })))
      assert.truthy(table.concat(got.log, " "):find "inner middle outer$")
    end)

    it("lets a rebuild see what is inside it rebuilt", function()
      local meta = {}
      function meta.__transfer(t)
        return function(inner)
          return { seen = inner.list[1] and inner.list[1].done, done = true }
        end, { list = { t[1] } }
      end
      local function wrap(v) return setmetatable({ v }, meta) end
      assert.same({ seen = true, done = true }, go(wrap(wrap(nil))))
    end)

    it("keeps one value one, wherever it is met", function()
      local new, _, Class = new_class()
      local o = new "a"
      local function f() return o end
      local got = go { o, { o }, [o] = "found", f = f, class = Class, inside = new("b", o) }
      assert.is_true(got[1].rebuilt)
      assert.is_true(rawequal(got[1], got[2][1]))
      assert.equal("found", got[got[1]])
      assert.is_true(rawequal(got[1], got.f()))
      assert.is_true(rawequal(got[1], got.inside.parts[1]))
      assert.is_true(rawequal(got.class, getmetatable(got[1])))
    end)

    it("keeps what the parts share with the rest of the message", function()
      local new = new_class()
      local shared = {}
      local got = go { shared, new("a", shared), new("b", shared) }
      assert.is_true(rawequal(got[1], got[2].parts[1]))
      assert.is_true(rawequal(got[1], got[3].parts[1]))
    end)

    it("keeps a cycle around the object", function()
      local new = new_class()
      local ring = { new "a" }
      ring.self = ring
      local got = go(ring)
      assert.is_true(rawequal(got, got.self))
      assert.is_true(got[1].rebuilt)
    end)

    it("brings whatever rebuild returns", function()
      local meta = { __transfer = function(t) return tostring, t.n end }
      local got = go { setmetatable({ n = 12 }, meta), [setmetatable({ n = 34 }, meta)] = true }
      assert.same({ "12", ["34"] = true }, got)
    end)

    it("makes up for __gc and __close", function()
      local meta = { __gc = function() end, __close = function() end }
      function meta.__transfer(t) return function(x) return { x } end, t.x end
      assert.same({ 5 }, go(setmetatable({ x = 5 }, meta)))
    end)

    it("serves userdata", function()
      local meta = getmetatable(io.stdout)
      finally(function() meta.__transfer = nil end)
      function meta.__transfer(f) return function(kind) return "was a " .. kind end, io.type(f) end
      assert.same({ "was a file" }, go { io.stdout })
    end)
  end)
end

describe("__transfer", function()
  it("is called once per value and message", function()
    local new, count = new_class()
    local o = new "a"
    here { o, o, { o }, [o] = o }
    assert.equal(1, count())
    here(o)
    assert.equal(2, count())
    here { new "b", new "c" }
    assert.equal(4, count())
  end)

  it("is not called for what no message reaches", function()
    local new, count = new_class()
    new "a"
    here {}
    assert.equal(0, count())
  end)

  it("serves the globals that go along", function()
    local new = new_class()
    spec_parcel = new "global"
    local function f() return spec_parcel.rebuilt, spec_parcel.name end
    assert.same({ true, "global" }, { Isolate.run(f):await() })
  end)

  it("forbids with false", function()
    local shut = setmetatable({}, { __name = "Door", __transfer = false })
    assert.equal("cannot send message.a: a Door stays in its isolate", trip.unsent { a = shut })
  end)

  it("passes on the error it raises, and nothing is sent", function()
    local port <close> = Isolate.ReceivePort()
    local bad = setmetatable({}, { __transfer = function() error "not today" end })
    local text = trip.refusal(port.send_port.send, port.send_port, { 1, bad })
    assert.truthy(text:find("not today", 1, true))
    port.send_port:send "next"
    assert.equal("next", port:receive(60))
  end)

  it("must return a rebuild", function()
    local port <close> = Isolate.ReceivePort()
    for _, result in ipairs { false, 12, "text" } do
      local bad = setmetatable({}, { __transfer = function() return result or nil end })
      assert.is_false(pcall(port.send_port.send, port.send_port, bad))
    end
    port.send_port:send "next"
    assert.equal("next", port:receive(60))
  end)

  it("names the way to what its results hold", function()
    local co = coroutine.create(print)
    local meta = { __transfer = function(t) return t.rebuild or print, 1, { x = t.co } end }
    assert.equal("cannot send message.a.__transfer[3].x: a coroutine stays in its isolate",
      trip.unsent { a = setmetatable({ co = co }, meta) })
    local bad = setmetatable({ rebuild = function() return co end }, meta)
    assert.equal("cannot send message.__transfer[1].upvalue 'co': a coroutine stays in its isolate",
      trip.unsent(bad))
  end)

  -- Such an object would have to be there before it is made.
  it("is refused for an object that is part of its own parts, or brings the ring", function()
    local new = new_class()
    local o = new("a", {})
    o.parts[1].owner = o
    local ok, got = pcall(here, o)
    if ok then
      assert.is_true(rawequal(got, got.parts[1].owner))
    else
      assert.truthy(trip.text(got):find("^cannot send message"))
    end
  end)
end)

-- Arrival ------------------------------------------------------------------

local function broken()
  return setmetatable({}, { __transfer = function()
    return function() error "cannot be rebuilt" end
  end })
end

describe("a message that cannot be made on arrival", function()
  it("is an error of the receiver that names the port", function()
    local port <close> = Isolate.ReceivePort "inbox"
    port.send_port:send { broken() }
    local text = trip.refusal(port.receive, port, 60)
    assert.truthy(text:find("cannot be rebuilt", 1, true))
    assert.truthy(text:find("inbox", 1, true))
  end)

  it("is consumed", function()
    local port <close> = Isolate.ReceivePort()
    port.send_port:send(broken())
    port.send_port:send "next"
    assert.is_false(pcall(port.receive, port, 60))
    assert.equal("next", port:receive(60))
  end)

  it("fails where it names a module that is not to be had", function()
    finally(function()
      package.preload["spec.gone"], package.loaded["spec.gone"] = nil, nil
    end)
    package.preload["spec.gone"] = function() return { f = function() end } end
    local port <close> = Isolate.ReceivePort "inbox"
    port.send_port:send { require "spec.gone" }
    package.loaded["spec.gone"] = nil
    package.preload["spec.gone"] = function() error "no longer here" end
    local text = trip.refusal(port.receive, port, 60)
    assert.truthy(text:find("no longer here", 1, true))
    assert.truthy(text:find("inbox", 1, true))
  end)

  local starts = {
    { "a rebuild", function() return broken() end, "cannot be rebuilt" },
    { "a module", function() return require "spec.fixtures.main_only" end,
      "only for the main isolate" },
  }
  for _, case in ipairs(starts) do
    it("ends the new isolate that it was to start, for " .. case[1], function()
      local future = Isolate.run(function() return "started" end, (case[2]()))
      local ok, err = pcall(future.await, future)
      assert.is_false(ok)
      assert.equal("string", type(err.traceback))
      assert.truthy(err.message:find(case[3], 1, true))
    end)
  end

  it("fails the future that it was to answer", function()
    local future = Isolate.run(broken)
    local text = trip.refusal(future.await, future)
    assert.truthy(text:find("cannot be rebuilt", 1, true))
  end)

  it("fails where a rebuild waits", function()
    local waits = setmetatable({}, { __transfer = function()
      return function() Isolate.sleep(0) end
    end })
    local port <close> = Isolate.ReceivePort "inbox"
    port.send_port:send(waits)
    assert.truthy(trip.refusal(port.receive, port, 60):find("inbox", 1, true))
  end)
end)
