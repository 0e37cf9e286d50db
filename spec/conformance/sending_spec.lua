-- What can be sent, and how it arrives. Ids are those of Dart's behaviour (B15-B21,
-- C9, D6, E6, E14; 2.4).

local Isolate = require "isolate"

local alone  = require "spec.support.alone"
local helper = require "spec.helper"
local trip   = require "spec.fixtures.trip"
local turns  = require "spec.support.turns"

local failure, keep = turns.failure, alone.keep
local GUARD = 60

before_each(alone.begin)
after_each(alone.check)

for _, way in ipairs(trip.ways) do
  local go = way.go
  describe("2.4.1: " .. way.where, function()
    it("B16, B17: plain values arrive as they are, with their subtype", function()
      for _, value in ipairs { true, false, 0, 1, -1, math.mininteger, math.maxinteger, 0.5, -0.0, 1.0,
        math.huge, -math.huge, "", "\0\255", ("x"):rep(100000), "한국어" } do
        local back = go(value)
        assert.is_true(helper.same_structure(value, back), tostring(value))
      end
      assert.is_nil(go(nil))
      local nan = go(0 / 0)
      assert.is_true(nan ~= nan)
    end)

    it("B15: tables are copied: changes are not seen on the other side", function()
      local list = { 1, { 2 } }
      local back = go(list)
      assert.not_equal(list, back)
      back[2][1] = 3
      assert.same({ 1, { 2 } }, list)
    end)

    it("2.4.1: identity, sharing and cycles are kept within a message", function()
      local shared = { "shared" }
      local value = { a = shared, b = shared, list = {} }
      value.self, value.list[1] = value, value
      assert.is_true(helper.same_structure(value, go(value)))
    end)

    it("B18: values side by side travel as a list", function()
      local id, text = table.unpack(go { 7, "text" })
      assert.equal(7, id)
      assert.equal("text", text)
    end)

    it("B19: values keep what they are: ports, capabilities, tables, texts", function()
      local port, capability = keep(Isolate.ReceivePort()), Isolate.Capability()
      local back = go { port = port.send_port, capability = capability, text = "1", number = 1 }
      assert.equal("userdata", type(back.port))
      assert.equal("SendPort", getmetatable(back.port))
      assert.equal(port.send_port, back.port)
      assert.equal(capability, back.capability)
      assert.equal("string", type(back.text))
      assert.equal("integer", math.type(back.number))
    end)

    it("B20: objects keep their class, with its methods", function()
      local geometry = require "spec.fixtures.geometry"
      local point = go(geometry.Point.new(3, 4))
      assert.equal(geometry.Point, getmetatable(point))
      assert.equal(5.0, point:norm())
      local Photo = {}
      Photo.__index = Photo
      function Photo:title() return "photo " .. self.id end
      assert.equal("photo 3", go(setmetatable({ id = 3 }, Photo)):title())
    end)

    it("2.4.1: no constructor and no metamethod runs on the way", function()
      local function never() error "called" end
      local value = setmetatable({ x = 1 }, { __index = never, __newindex = never, __pairs = never,
        __len = never, __eq = never, __call = never, __tostring = never, __name = "Strict" })
      assert.equal(1, rawget(go(value), "x"))
    end)

    it("2.4.1: functions keep their upvalues, shared ones shared", function()
      local n = 0
      local pair = go { function() n = n + 1 end, function() return n end }
      pair[1]()
      pair[1]()
      assert.equal(2, pair[2]())
      assert.equal(0, n)
    end)

    it("2.4.1: a table keyed by an object finds its entry under the copy of the key", function()
      local key = { "key" }
      local back = go { key = key, map = { [key] = "value" } }
      assert.equal("value", back.map[back.key])
      assert.is_nil(back.map[key])
    end)

    it("2.4.1: what is nested deep arrives", function()
      local value = {}
      for _ = 1, 20000 do value = { value } end
      local back, depth = go(value), 0
      while back[1] do back, depth = back[1], depth + 1 end
      assert.equal(20000, depth)
    end)

    it("2.9: __transfer chooses what is sent (isolate-unsendable, and more)", function()
      local geometry = require "spec.fixtures.geometry"
      local box = go(geometry.box { 1 })
      assert.equal(geometry.Box, getmetatable(box))
      assert.same({ 1 }, box.content)
    end)
  end)
end

describe("B17, 2.4.2: what cannot be sent raises at the sender and names the way to it", function()
  local port = Isolate.ReceivePort()
  local raw = Isolate.RawReceivePort()
  local timer = Isolate.Timer(1000, print)
  port:close()
  raw:close()
  timer:cancel()
  local log = io.stdout
  local cases = {
    { "a Future", Isolate.Future.value(), "a Future stays in its isolate" },
    { "a Completer", Isolate.Completer(), "a Completer stays in its isolate" },
    { "a ReceivePort", port, "a ReceivePort stays in its isolate" },
    { "a RawReceivePort", raw, "a RawReceivePort stays in its isolate" },
    { "a Timer", timer, "a Timer stays in its isolate" },
    { "an open file", io.stdout, "an open file stays in its isolate" },
    { "a coroutine", coroutine.create(print), "a coroutine stays in its isolate" },
    { "a class that forbids it", setmetatable({}, { __transfer = false, __name = "Secret" }),
      "a Secret stays in its isolate" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local target <close> = Isolate.ReceivePort()
      local why = failure(target.send_port.send, target.send_port, { jobs = { 1, { callback = case[2] } } })
      assert.truthy(why:find("cannot send message.jobs[2].callback: " .. case[3], 1, true))
      assert.same({ nil, "timeout" }, { target:receive(0) })
    end)
  end

  it("an open file behind a function's upvalue", function()
    local target <close> = Isolate.ReceivePort()
    assert.truthy(failure(target.send_port.send, target.send_port, { function() return log end }):find(
      "cannot send message[1].upvalue 'log': an open file stays in its isolate", 1, true))
  end)

  it("2.3: and consumes nothing: what was beside it can be sent", function()
    local target <close> = Isolate.ReceivePort()
    local good = { 1 }
    assert.is_false(pcall(target.send_port.send, target.send_port, { good, io.stdout }))
    target.send_port:send(good)
    assert.same({ 1 }, target:receive(GUARD))
  end)
end)

describe("D6, E6, B21, 2.4.5: isolation", function()
  it("globals and fields that are changed later are not seen there", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      top_data = "hello"
      local object = { class_data = "hello" }
      local port = Isolate.ReceivePort()
      Isolate.spawn(function(to)
        Isolate.sleep(0.01)
        to:send { top_data, object.class_data }
      end, port.send_port)
      top_data, object.class_data = "world", "world"
      local got = port:receive()
      port:close()
      print(got[1], got[2], top_data, object.class_data)
    ]]
    assert.same({ 0, "hello\thello\tworld\tworld\n", "" }, { result.status, result.stdout, result.stderr })
  end)

  it("what is changed there is not seen here", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      configuration = { debug = false }
      print(Isolate.run(function()
        configuration.debug = true
        return configuration.debug
      end):await(), configuration.debug)
    ]]
    assert.same({ 0, "true\tfalse\n", "" }, { result.status, result.stdout, result.stderr })
  end)

  it("a global that no function reads stays at home: a new isolate has its own", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      unread = 42
      print(Isolate.run(function() return rawget(_G, "unread") end):await())
    ]]
    assert.equal("nil\n", result.stdout)
  end)

  it("a carried global never overwrites one that is there", function()
    local got = Isolate.run(function()
      local before = print
      return before == print, type(string.format)
    end):await(GUARD)
    assert.is_true(got)
  end)

  it("modules have their own state in each isolate", function()
    local geometry = require "spec.fixtures.geometry"
    geometry.scale = 10
    local there = Isolate.run(function() return geometry.area(1, 1) end):await(GUARD)
    geometry.scale = 1
    assert.equal(1, there)
  end)
end)

describe("C9, 2.3: a RemoteError", function()
  it("is made by hand, sent, and shown", function()
    local port = keep(Isolate.ReceivePort())
    port.send_port:send(Isolate.RemoteError("description", "stack description"))
    local e = port:receive(GUARD)
    assert.equal(Isolate.RemoteError, getmetatable(e))
    assert.equal("description", e.message)
    assert.equal("stack description", e.traceback)
    assert.equal("description\nstack description", tostring(e))
  end)

  it("completes a Completer's Future with an error", function()
    local completer = Isolate.Completer()
    completer:complete_error(Isolate.RemoteError("bad JSON", ""))
    assert.equal("bad JSON", failure(completer.future.await, completer.future).message)
  end)
end)

describe("2.3: IsolateSpawnError", function()
  it("says what it is", function()
    assert.equal("IsolateSpawnError: no threads", tostring(Isolate.IsolateSpawnError "no threads"))
  end)
end)

describe("2.4: a message that cannot be built", function()
  it("is consumed: an uncaught error of the receiver that names the port", function()
    local port = keep(Isolate.ReceivePort "orders")
    port.send_port:send(setmetatable({}, { __transfer = function()
      return function() error("no such order", 0) end
    end }))
    port.send_port:send "next"
    assert.truthy(failure(port.receive, port, GUARD):find(
      "a message to port 'orders' could not be received: no such order", 1, true))
    assert.equal("next", port:receive(GUARD))
  end)

  it("ends a spawned isolate as an error of its function would", function()
    local port = keep(Isolate.ReceivePort())
    local broken = setmetatable({}, { __transfer = function()
      return function() error("not there", 0) end
    end })
    local iso = Isolate.spawn(print, broken, { on_error = port.send_port })
    assert.truthy(port:receive(GUARD)[1]:find("not there", 1, true))
    assert.is_true(iso:join(GUARD))
  end)
end)

describe("E14: nothing is shared", function()
  it("so counters of two isolates do not meet", function()
    local n = 0
    local function count()
      for _ = 1, 1000 do n = n + 1 end
      return n
    end
    local a, b = Isolate.run(count), Isolate.run(count)
    assert.equal(1000, a:await(GUARD))
    assert.equal(1000, b:await(GUARD))
    assert.equal(0, n)
  end)
end)

describe("C10: the standard library", function()
  it("is whole in an isolate: files, JSON", function()
    local path = helper.write(helper.tempdir() .. "/with_keys.json", '{"a": 1, "b": 2, "c": null}')
    local n = Isolate.run(function()
      local file <close> = assert(io.open(path))
      local data, count = require "cjson".decode(file:read "a"), 0
      for _ in pairs(data) do count = count + 1 end
      return count
    end):await(GUARD)
    assert.equal(3, n)
  end)
end)
