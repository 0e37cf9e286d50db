-- What stays in its isolate, and what the error says: the way to it, what
-- it is, and nothing is sent.
-- luacheck: globals spec_log spec_jobs spec_file

local Isolate = require "isolate"
local json    = require "cjson"
local trip    = require "spec.fixtures.trip"

local unsent, refusal = trip.unsent, trip.refusal

local function nothing() end

local file_class = getmetatable(io.stdout)

-- An open file without its class, or with another; and how to close it.
local function userdata(metatable)
  return debug.setmetatable(io.tmpfile(), metatable)
end

local function close(file)
  debug.setmetatable(file, file_class):close()
end

-- What each kind is called, a maker, and what puts it away.
local kinds = {
  { "a coroutine", function() return coroutine.create(nothing) end },
  { "a coroutine", coroutine.running },
  { "an open file", io.tmpfile, close },
  { "an open file", function() return io.stdout end },
  { "a closed file", function()
    local file = io.tmpfile()
    file:close()
    return file
  end },
  { "a ReceivePort", Isolate.ReceivePort, function(port) port:close() end },
  { "a Future", function() return Isolate.Future.value(1) end },
  { "a Future", function() return Isolate.Completer().future end },
  { "a Timer", function() return Isolate.Timer(1000, nothing) end,
    function(timer) timer:cancel() end },
  { "a userdata", function() return userdata(nil) end, close },
  { "a userdata", function() return userdata {} end, close },
  { "a tcp{client}", function() return userdata { __name = "tcp{client}" } end, close },
  { "a C function with upvalues", function() return (string.gmatch("a", "a")) end },
  { "a C function with upvalues", function() return coroutine.wrap(nothing) end },
  { "a C function with upvalues", function() return json.new().encode end },
  { "a table with __gc", function() return setmetatable({}, { __gc = nothing }) end },
  { "a table with __gc", function() return setmetatable({}, { __gc = true }) end },
  { "a table with __close", function() return setmetatable({}, { __close = nothing }) end },
  { "a Door", function() return setmetatable({}, { __name = "Door", __transfer = false }) end },
  { "a Door", function()
    return setmetatable({}, { __name = "isolate.Door", __transfer = false })
  end },
  { "an object with __transfer = false", function()
    return setmetatable({}, { __transfer = false })
  end },
  { "an object with __transfer = false", function()
    return setmetatable({}, { __transfer = false, __gc = nothing })
  end },
}

describe("what stays in its isolate", function()
  for i, kind in ipairs(kinds) do
    local what, make, put_away = table.unpack(kind, 1, 3)

    it(("is %s (%d)"):format(what, i), function()
      local value = make()
      finally(function() if put_away then put_away(value) end end)
      assert.equal(("cannot send message: %s stays in its isolate"):format(what), unsent(value))
      assert.equal(("cannot send message.a: %s stays in its isolate"):format(what),
        unsent { a = value })
      assert.equal(("cannot send fn.upvalue 'value': %s stays in its isolate"):format(what),
        refusal(Isolate.run, function() return value end))
      assert.equal(("cannot send argument[2]: %s stays in its isolate"):format(what),
        refusal(Isolate.run, nothing, 1, value))
    end)
  end
end)

local co = coroutine.create(nothing)
local stays = ": a coroutine stays in its isolate"

-- Functions whose names and upvalues the paths below tell.
local function holder()
  local file = co
  return function() return file end
end

local function nested()
  local get = holder()
  return function() return get() end
end

local transfer = { __transfer = function(t) return t[1], t[2] end }

local paths = {
  { "message", co },
  { "message[3]", { 1, 2, co } },
  { "message[-7]", { [-7] = co } },
  { "message[true]", { [true] = co } },
  { "message.name", { name = co } },
  { "message.a1_B", { a1_B = co } },
  { 'message["two words"]', { ["two words"] = co } },
  { 'message["1st"]', { ["1st"] = co } },
  { 'message[""]', { [""] = co } },
  { "message.jobs[3].callback", { jobs = { 1, 2, { callback = co } } } },
  { "message.key", { [co] = 1 } },
  { "message.a.key", { a = { [co] = 1 } } },
  { "message.key.x", { [{ x = co }] = 1 } },
  { "message.metatable.x", setmetatable({}, { x = co }) },
  { "message.a.metatable.metatable.x",
    { a = setmetatable({}, setmetatable({}, { x = co })) } },
  { "message.upvalue 'file'", holder() },
  { "message.upvalue 'get'.upvalue 'file'", nested() },
  { "message[1].upvalue 'file'", { holder() } },
  { "message.__transfer[2]", setmetatable({ print, co }, transfer) },
  { "message.__transfer[2].x", setmetatable({ print, { x = co } }, transfer) },
  { "message.__transfer[1].upvalue 'file'", setmetatable({ holder() }, transfer) },
  { "message.a.__transfer[2].__transfer[2]",
    { a = setmetatable({ print, setmetatable({ print, co }, transfer) }, transfer) } },
}

describe("the way to what cannot be sent", function()
  for _, case in ipairs(paths) do
    it("is " .. case[1], function()
      assert.equal("cannot send " .. case[1] .. stays, unsent(case[2]))
    end)
  end

  it("is found through a ring", function()
    local ring = {}
    ring.self = ring
    ring.bad = co
    assert.equal("cannot send message.bad" .. stays, unsent(ring))
  end)

  it("passes through globals", function()
    spec_jobs = { co }
    local function f() return spec_jobs end
    assert.equal("cannot send fn.global 'spec_jobs'[1]" .. stays, refusal(Isolate.run, f))
    assert.equal("cannot send message.f.global 'spec_jobs'[1]" .. stays, unsent { f = f })
  end)

  it("passes through the upvalues of globals", function()
    local file = io.tmpfile()
    finally(function() file:close() end)
    function spec_log(text) file:write(text) end
    local function f() spec_log "text" end
    assert.equal(
      "cannot send fn.global 'spec_log'.upvalue 'file': an open file stays in its isolate",
      refusal(Isolate.run, f))
  end)

  it("passes through the globals of globals", function()
    spec_file = co
    function spec_log() return spec_file end
    local function f() return spec_log() end
    assert.equal("cannot send fn.global 'spec_log'.global 'spec_file'" .. stays,
      refusal(Isolate.run, f))
  end)

  it("passes through the globals of nested functions", function()
    spec_file = co
    local function f() return function() return spec_file end end
    assert.equal("cannot send fn.global 'spec_file'" .. stays, refusal(Isolate.run, f))
  end)

  it("begins with the function or the argument of run", function()
    assert.equal("cannot send fn.upvalue 'file'" .. stays, refusal(Isolate.run, holder()))
    assert.equal("cannot send argument[1]" .. stays, refusal(Isolate.run, nothing, co))
    assert.equal("cannot send argument[3].a" .. stays,
      refusal(Isolate.run, nothing, nil, {}, { a = co }))
  end)

  for _, start in ipairs { "spawn", "compute" } do
    it("begins with the function or the message of " .. start, function()
      assert.equal("cannot send fn.upvalue 'file'" .. stays, refusal(Isolate[start], holder()))
      assert.equal("cannot send message.a" .. stays, refusal(Isolate[start], nothing, { a = co }))
    end)
  end

  it("begins with the result of an answer", function()
    local function wrong(n)
      local thread = coroutine.create(function() end)
      return table.unpack({ n == 1 and thread or 1, n == 2 and { x = { thread } } or 2 }, 1, 2)
    end
    local first, second = Isolate.run(wrong, 1), Isolate.run(wrong, 2)
    assert.equal("cannot send result[1]" .. stays, refusal(first.await, first))
    assert.equal("cannot send result[2].x[1]" .. stays, refusal(second.await, second))
  end)

  it("is told of a last message too, and the isolate goes on", function()
    local function f(port)
      local ok, err = pcall(Isolate.exit, port, { coroutine.create(function() end) })
      return ok, err
    end
    local port <close> = Isolate.ReceivePort()
    local ok, err = Isolate.run(f, port.send_port):await()
    assert.is_false(ok)
    assert.equal("cannot send message[1]" .. stays, trip.text(err))
  end)

  it("may be 100,000 steps long", function()
    local t = co
    for _ = 1, 100000 do t = { t } end
    local text = unsent(t)
    assert.equal("cannot send message[1][1]", text:sub(1, 25))
    assert.equal(stays, text:sub(-#stays))
  end)
end)

describe("an error of sending", function()
  local port

  before_each(function() port = Isolate.ReceivePort() end)
  after_each(function() port:close() end)

  it("names the line that sends", function()
    local here = debug.getinfo(1, "S").short_src
    local line = debug.getinfo(1, "l").currentline
    local _, sent = pcall(function() port.send_port:send(co) end)
    local _, ran = pcall(function() Isolate.run(nothing, co) end)
    assert.equal(("%s:%d: cannot send message%s"):format(here, line + 1, stays), sent)
    assert.equal(("%s:%d: cannot send argument[1]%s"):format(here, line + 2, stays), ran)
  end)

  it("leaves nothing of the message behind", function()
    for _, bad in ipairs { co, { {}, "much", { co } }, { port.send_port, co }, holder() } do
      assert.is_false(pcall(port.send_port.send, port.send_port, bad))
    end
    port.send_port:send "next"
    assert.equal("next", port:receive(60))
    assert.same({ n = 2, nil, "timeout" }, table.pack(port:receive(0)))
  end)

  it("starts no isolate", function()
    local function f(to, text) to:send(text) end
    assert.is_false(pcall(Isolate.run, f, port.send_port, "never", co))
    assert.is_false(pcall(Isolate.spawn, function() f(port, "never") end))
    Isolate.run(f, port.send_port, "next"):await()
    assert.equal("next", port:receive(60))
  end)

  it("does not spoil a later message of the same value", function()
    local message = { list = { 1, 2 }, bad = co }
    assert.is_false(pcall(trip.here, message))
    message.bad = nil
    assert.same({ list = { 1, 2 } }, trip.here(message))
  end)

  it("does not come of what is only named", function()
    assert.is_true(rawequal(io, trip.here(io)))
    assert.equal("table", Isolate.run(function() return type(io) end):await())
    assert.equal("userdata", Isolate.run(function() return type(io.stdout) end):await())
  end)
end)
