-- receive_spec.lua
-- Who waits for a message while nothing else is to be done waits in C, where it stands: in an
-- isolate that does only that, the loop is not even loaded. Whatever else comes meanwhile is done
-- as ever: other ports, tasks, timers, a pause, a kill, an end.

local Isolate = require "isolate"
local helper  = require "spec.helper"
local alone   = require "spec.support.alone"

local GUARD = 10 * helper.slow -- seconds

-- Over there: is the loop loaded?
local function has_loop() return package.loaded["isolate.loop"] ~= nil end

-- Starts `fn(reply, ...)`; returns its isolate, the port of the answers, and its first answer.
local function start(fn, ...)
  local port = alone.new_port()
  local isolate = Isolate.spawn(fn, port.send_port, ...)
  return isolate, port, (port:receive(GUARD))
end

local function ends(isolate) return isolate:join(GUARD) end

describe("an isolate that only waits for messages", function()
  before_each(alone.begin)
  after_each(alone.check)

  it("has no loop, and neither at its end", function()
    local isolate, port, to = start(function(reply)
      local port <close> = Isolate.ReceivePort()
      reply:send(port.send_port)
      for _, message in port:messages() do
        if not message then break end
        reply:send { message, has_loop() }
      end
      setmetatable({}, { __gc = function() reply:send { "at the end", has_loop() } end })
    end)
    to:send(1)
    assert.same({ 1, false }, port:receive(GUARD))
    to:send "two"
    assert.same({ "two", false }, port:receive(GUARD))
    to:send(false)
    assert.same({ "at the end", false }, port:receive(GUARD))
    assert.is_true(ends(isolate))
  end)

  it("answers as Isolate.run's function, with a port left open", function()
    local answer = alone.new_port()
    local result = Isolate.run(function(reply)
      local port = Isolate.ReceivePort()
      reply:send(port.send_port)
      return port:receive(), has_loop()
    end, answer.send_port)
    answer:receive(GUARD):send { 1, 2 }
    local message, loop = result:await(GUARD)
    assert.same({ 1, 2 }, message)
    assert.is_false(loop)
  end)

  it("lives on with a port left open", function()
    local isolate, port, to = start(function(reply)
      local port = Isolate.ReceivePort()
      reply:send(port.send_port)
      reply:send(port:receive())
    end)
    to:send "once"
    assert.equal("once", port:receive(GUARD))
    isolate:ping(port.send_port, "alive")
    assert.equal("alive", port:receive(GUARD))
    assert.same({ nil, "timeout" }, { isolate:join(0) })
    isolate:kill(Isolate.immediate)
    assert.is_true(ends(isolate))
  end)

  it("fails as ever after a wait", function()
    local e = alone.remote(Isolate.run(function()
      local port = Isolate.ReceivePort()
      port.send_port:send "what"
      error(port:receive() .. " went wrong")
    end))
    assert.matches("receive_spec.lua:%d+: what went wrong$", e.message)
    assert.matches("receive_spec.lua:%d+: in function <", e.traceback)
  end)
end)

for _, how in ipairs { "without a loop", "with one" } do
  describe("who waits for a message, " .. how .. ",", function()
    local loop = how == "with one"

    -- In the other isolate; a task that the loop goes on with waits in C, too.
    local function prepare()
      if loop then Isolate.sleep(0) end
    end

    before_each(alone.begin)
    after_each(alone.check)

    it("gets what is for its port; what is for others waits there", function()
      local isolate, port, to = start(function(reply)
        prepare()
        local one <close> = Isolate.ReceivePort()
        local two <close> = Isolate.ReceivePort()
        reply:send { one.send_port, two.send_port }
        reply:send(one:receive())
        for _ = 1, 3 do reply:send(two:receive()) end
      end)
      local one, two = to[1], to[2]
      for i = 1, 3 do two:send(i) end
      one:send "one"
      assert.equal("one", port:receive(GUARD))
      for i = 1, 3 do assert.equal(i, port:receive(GUARD)) end
      assert.is_true(ends(isolate))
    end)

    it("lets the handlers of other ports run meanwhile", function()
      local _, port, to = start(function(reply)
        prepare()
        local port <close> = Isolate.ReceivePort()
        local raw <close> = Isolate.RawReceivePort(function(m) reply:send { "handled", m } end)
        reply:send { port.send_port, raw.send_port }
        reply:send(port:receive())
      end)
      for i = 1, 3 do
        to[2]:send(i)
        assert.same({ "handled", i }, port:receive(GUARD))
      end
      to[1]:send "received"
      assert.equal("received", port:receive(GUARD))
    end)

    it("is held by a pause", function()
      local isolate, port, to = start(function(reply)
        prepare()
        local port <close> = Isolate.ReceivePort()
        reply:send(port.send_port)
        for i = 1, 2 do reply:send { i, port:receive() } end
      end)
      local pause = isolate:pause()
      to:send "early"
      isolate:ping(port.send_port, "a ping is answered in a pause", Isolate.immediate)
      assert.equal("a ping is answered in a pause", port:receive(GUARD))
      assert.is_nil(port:receive(0.02))
      isolate:resume(pause)
      assert.same({ 1, "early" }, port:receive(GUARD))
      to:send "late"
      assert.same({ 2, "late" }, port:receive(GUARD))
      assert.is_true(ends(isolate))
    end)

    it("is killed, and its to-be-closed variables are closed", function()
      local isolate, port, ready = start(function(reply)
        prepare()
        local _ <close> = setmetatable({}, { __close = function() reply:send "closed" end })
        local port <close> = Isolate.ReceivePort()
        reply:send "ready"
        pcall(port.receive, port)
        reply:send "a kill was caught"
      end)
      assert.equal("ready", ready)
      isolate:kill(Isolate.immediate)
      assert.equal("closed", port:receive(GUARD))
      assert.is_true(ends(isolate))
    end)

    it("gets a large message", function()
      local isolate, port, to = start(function(reply)
        prepare()
        local port <close> = Isolate.ReceivePort()
        reply:send(port.send_port)
        for _ = 1, 3 do reply:send(#port:receive()) end
      end)
      for _, size in ipairs { 3, 1 << 20, 5 } do
        to:send(("x"):rep(size))
        assert.equal(size, port:receive(GUARD))
      end
      assert.is_true(ends(isolate))
    end)

    it("ends by a message that cannot be built", function()
      local errors = alone.new_port()
      local isolate, port, to = start(function(reply)
        prepare()
        local port <close> = Isolate.ReceivePort "jobs"
        reply:send(port.send_port)
        reply:send(port:receive())
      end)
      isolate:add_error_listener(errors.send_port)
      to:send(setmetatable({}, { __transfer = function()
        return function() error "no such thing here" end
      end }))
      assert.matches("^a message to port 'jobs' could not be received: .*no such thing here",
        errors:receive(GUARD)[1])
      assert.is_true(ends(isolate))
      assert.is_nil((port:receive(0)))
    end)

    it("waits in coroutines of its own", function()
      local _, port, to = start(function(reply)
        prepare()
        local port <close> = Isolate.ReceivePort()
        reply:send(port.send_port)
        for message in coroutine.wrap(function()
          while true do coroutine.yield(port:receive()) end
        end) do
          if message == "last" then break end
          reply:send(message)
        end
      end)
      for i = 1, 3 do
        to:send(i)
        assert.equal(i, port:receive(GUARD))
      end
      to:send "last"
    end)

    it("hears of the port's close by another message's handler", function()
      local _, port, to = start(function(reply)
        prepare()
        local port = Isolate.ReceivePort()
        local raw <close> = Isolate.RawReceivePort(function() port:close() end)
        reply:send(raw.send_port)
        reply:send { port:receive() }
      end)
      to:send "close it"
      assert.same({ [2] = "closed" }, port:receive(GUARD))
    end)
  end)
end

describe("a task that waits for a message in C", function()
  before_each(alone.begin)
  after_each(alone.check)

  it("lets timers fire and other tasks wait", function()
    local result = Isolate.run(function()
      local log = {}
      local ports = { Isolate.ReceivePort(), Isolate.ReceivePort() }
      local tasks = {}
      for i, port in ipairs(ports) do
        tasks[i] = Isolate.async(function()
          for _ = 1, 2 do
            local message = port:receive()
            log[#log + 1] = i .. message
          end
        end)
      end
      Isolate.Timer(0.001, function() ports[2].send_port:send "a" end)
      Isolate.Timer(0.002, function() ports[1].send_port:send "b" end)
      Isolate.Timer(0.003, function() ports[1].send_port:send "c" end)
      Isolate.Timer(0.004, function() ports[2].send_port:send "d" end)
      for _, task in ipairs(tasks) do task:await() end
      return table.concat(log, " ")
    end)
    assert.equal("2a 1b 1c 2d", result:await(GUARD))
  end)

  it("does not keep the awaiter of another Future from going on", function()
    local result = Isolate.run(function()
      local port = Isolate.ReceivePort()
      local first = Isolate.ReceivePort()
      Isolate.async(function()
        first:receive()
        port:receive()  -- for ever
      end)
      local other = Isolate.run(function(to) to:send "go on" return 42 end, first.send_port)
      return other:await()
    end)
    assert.equal(42, result:await(GUARD))
  end)
end)
