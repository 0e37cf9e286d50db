-- What people did who used the library without knowing it; each case went
-- wrong once.

local Isolate = require "isolate"
local helper  = require "spec.helper"

local GUARD = 60

describe("compute", function()
  it("goes on after an uncaught error that is not to be fatal", function()
    local port <close> = Isolate.ReceivePort()
    local future = Isolate.compute(function()
      Isolate.Timer(0, function() error "in the timer" end)
      Isolate.sleep(0.02)
      return "survived"
    end, nil, { errors_are_fatal = false, on_error = port.send_port })
    assert.equal("survived", future:await(GUARD))
    assert.truthy(port:receive(GUARD)[1]:find("in the timer", 1, true))
  end)
end)

describe("spawn_file", function()
  it("refuses a directory", function()
    local ok, why = pcall(Isolate.spawn_file, helper.tempdir())
    assert.is_false(ok)
    assert.truthy(why:find("cannot read ", 1, true))
  end)

  it("names the argument that cannot be sent", function()
    local path = helper.tempdir() .. "/nothing.lua"
    helper.write(path, "")
    local ok, why = pcall(Isolate.spawn_file, path, 1, { args = { 5, io.stdout } })
    assert.is_false(ok)
    assert.truthy(why:find("cannot send args[2]: an open file", 1, true))
  end)
end)

describe("the traceback of an error", function()
  it("says where it was, although an await has passed it on", function()
    local function deepest()
      Isolate.sleep(0.001)
      error { code = 1 }
    end
    local future = Isolate.run(function() return Isolate.async(deepest):await() end)
    local ok, problem = pcall(future.await, future, GUARD)
    assert.is_false(ok)
    local line = debug.getinfo(deepest, "S").linedefined + 2
    assert.truthy(problem.traceback:find("regress_spec.lua:" .. line, 1, true))
    assert.equal(1, problem.value.code)
  end)
end)

describe("cancel", function()
  it("leaves alone what another Future depends on", function()
    local future = Isolate.run(function()
      Isolate.sleep(0.02)
      return 5
    end)
    local a = future:next(function(v) return v + 1 end)
    local b = future:next(function(v) return v + 2 end)
    a:cancel()
    assert.equal(7, b:await(GUARD))
    assert.equal(5, future:await(GUARD))
  end)

  it("reaches the source when nobody else depends on it #signal", function()
    local future = Isolate.run(function() while true do end end)
    local a, b = future:next(print), future:next(print)
    a:cancel()
    assert.is_false(future:is_done())
    b:cancel()
    assert.is_true(future:is_done())
  end)

  it("is an error that nobody needs to hear, in what was derived, too", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      local future = Isolate.run(function() Isolate.sleep(3) end)
      future:next(print)
      future:cancel()
      future = nil
      collectgarbage()
      collectgarbage()
      Isolate.loop()
    ]]
    assert.equal("", result.stderr)
    assert.equal(0, result.status)
  end)
end)

describe("a __close handler", function()
  it("may wait while it has the grace #signal", function()
    local port <close> = Isolate.ReceivePort()
    local iso = Isolate.spawn(function(answers)
      local _ <close> = setmetatable({}, { __close = function()
        Isolate.sleep(0.01)
        answers:send "waited"
      end })
      answers:send "on"
      while true do end
    end, port.send_port, { grace = 30 })
    assert.equal("on", port:receive(GUARD))
    iso:kill(Isolate.immediate)
    assert.equal("waited", port:receive(GUARD))
    assert.is_true(iso:join(GUARD))
  end)

  it("that waits for ever ends with the grace #signal", function()
    local iso = Isolate.spawn(function()
      local _ <close> = setmetatable({}, { __close = function()
        Isolate.ReceivePort():receive()
      end })
      while true do end
    end, nil, { grace = 0.02 })
    Isolate.sleep(0.02)
    iso:kill(Isolate.immediate)
    assert.is_true(iso:join(GUARD))
  end)
end)

describe("a main program", function()
  it("is told that it forgot its loop by a raw port's handler, too", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      local raw = Isolate.RawReceivePort(print)
      raw.send_port:send(1)
    ]]
    assert.truthy(result.stderr:find("Isolate.loop()", 1, true))
    assert.equal(0, result.status)
  end)
end)

describe("a wrong argument", function()
  it("raises where it used to be taken for something else", function()
    local port <close> = Isolate.ReceivePort()
    local raw <close> = Isolate.RawReceivePort()
    assert.is_false(pcall(Isolate.sleep, 0 / 0))
    assert.is_false(pcall(port.receive, port, 0 / 0))
    assert.is_false(pcall(function() raw.handler = 5 end))
    assert.is_false(pcall(function() raw.keep_alive = 5 end))
    assert.is_false(pcall(Isolate.spawn, print, nil, { libs = { a = 1 } }))
    raw.handler = print
    assert.equal(print, raw.handler)
    assert.is_false(pcall(function() raw.handler = 5 end))
  end)

  it("for __transfer is named with its path", function()
    local port <close> = Isolate.ReceivePort()
    local ok, why = pcall(port.send_port.send, port.send_port,
      { x = setmetatable({}, { __transfer = 5 }) })
    assert.is_false(ok)
    assert.truthy(why:find("cannot send message.x: its __transfer is not a function", 1, true))
  end)
end)

describe("a function that somebody added to a library of Lua", function()
  it("is copied, for it is nowhere else", function()
    table.spec_double = function(x) return 2 * x end  -- luacheck: ignore
    finally(function() table.spec_double = nil end)  -- luacheck: ignore
    local double = table.spec_double  -- luacheck: ignore
    assert.equal(42, Isolate.run(function() return double(21) end):await(GUARD))
  end)
end)

describe("a subscription", function()
  -- Messages are taken in batches: what is left of one was for a closed port.
  it("gets what came after the last message of a port that is closed", function()
    local first, closed <const>, port <close> = Isolate.ReceivePort(), Isolate.ReceivePort(), Isolate.ReceivePort()
    first.send_port:send(1)
    closed.send_port:send "to nobody"
    assert.equal(1, first:receive())
    first:close()
    closed:close()
    local log = {}
    port:listen(function(message) log[#log + 1] = message end)
    port.send_port:send "message"
    assert.is_true(Isolate.step())
    assert.same({ "message" }, log)
  end)

  it("that was paused twice waits for two resumes", function()
    local port <close> = Isolate.ReceivePort()
    local log = {}
    local subscription = port:listen(function(message) log[#log + 1] = message end)
    subscription:pause()
    subscription:pause()
    port.send_port:send "message"
    subscription:resume()
    Isolate.step()
    assert.same({}, log)
    subscription:resume()
    assert.same({ "message" }, log)
  end)

  it("to a port that is closed is done", function()
    local port = Isolate.ReceivePort()
    port:close()
    local done = false
    port:listen(print, { on_done = function() done = true end })
    Isolate.loop()
    assert.is_true(done)
  end)
end)

describe("a library that the receiver was not given", function()
  it("is nil there each time that a message mentions it", function()
    local got = Isolate.compute(function(message)
      return { n = select("#", table.unpack(message, 1, 3)), message[1], message[2], message[3] }
    end, { debug, debug, "end", key = { [debug] = 1 } }, { libs = { "table" } }):await(GUARD)
    assert.same({ n = 3, nil, nil, "end" }, got)  -- the second was "damaged message"
  end)
end)

describe("a finalizer that runs while a large message is built", function()
  it("may wait, and the message comes all the same", function()
    -- The collector is stopped meanwhile, but a program may start it again. What the
    -- finalizer waited for went on with the message that was just being built.
    local result = helper.lua([[
      local Isolate = require "isolate"
      local port, waits = Isolate.ReceivePort(), 0
      local large = {}
      for i = 1, 200000 do large[i] = { i } end
      port.send_port:send(large)
      port.send_port:send "small"
      local timer = Isolate.Timer.periodic(0.001, function()
        collectgarbage "incremental"
        collectgarbage "restart"
        for _ = 1, 3 do
          setmetatable({}, { __gc = function()
            waits = waits + 1
            assert(pcall(Isolate.sleep, 0))
          end })
        end
      end)
      local got = {}
      for _ = 1, 2 do
        local message = port:receive(30)
        got[type(message)] = message
      end
      timer:cancel()
      print(got.string, #got.table, got.table[200000][1], waits > 0)
    ]], { guard = GUARD })
    assert.equal("small\t200000\t200000\ttrue\n", result.stdout, result.stderr)
  end)
end)

describe("a port whose finalizer could not be called", function()
  it("is forgotten when its memory is freed", function()
    -- Lua frees an object although the call of its finalizer has failed, for lack of
    -- memory or, as here, of C stack. The list of all ports went through freed memory
    -- then: strings that came there later were changed, and the end crashed.
    local result = helper.lua([[
      local Isolate = require "isolate"
      local function deep(n, f)
        if n == 0 then return f() end
        return (string.gsub("a", "a", function() deep(n - 1, f) end))
      end
      for n = 1, 200 do
        for _ = 1, 20 do Isolate.ReceivePort():close() end
        pcall(deep, n, collectgarbage)   -- at one of them there is room for it alone
      end
      collectgarbage()
      local texts = {}                   -- as large as a port was
      for i = 1, 20000 do texts[i] = ("%47d"):format(i) end
      for _ = 1, 20 do Isolate.ReceivePort():close() end
      for i = 1, #texts do assert(texts[i] == ("%47d"):format(i)) end
      print "whole"
    ]], { guard = GUARD })
    assert.equal("whole\n", result.stdout, result.stderr)
    assert.equal(0, result.status, "signal " .. tostring(result.signal))
  end)
end)
