-- receive_spec.lua
-- Who waits for a message while nothing else is to be done waits in C, where it stands: in an
-- isolate that does only that, or has handlers only, the loop is not even loaded. Whatever else
-- comes meanwhile is done as ever: other ports, tasks, timers, a pause, a kill, an end.

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

  -- It came with the loop, which had come with it: each wait in Lua was of another copy.
  for _, first in ipairs { "port:receive(0)", "port:listen(print)" } do
    it("loads what waits in Lua once, by " .. first, function()
      assert.is_true(Isolate.run(function()
        local port <close> = Isolate.ReceivePort()
        assert(not has_loop())
        load("local port = ... " .. first)(port)
        return getmetatable(port).add == package.loaded["isolate.buffer"].add
      end):await(GUARD))
    end)
  end

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

describe("an isolate that only listens", function()
  before_each(alone.begin)
  after_each(alone.check)

  -- Over there: `answer(message, reply)` handles each message to a port.
  local function listens(kind, answer, opts)
    return start(function(reply)
      local port
      local function handler(message) return answer(message, reply, port) end
      if kind == "listen" then
        port = Isolate.ReceivePort "jobs"
        port:listen(handler)
      else
        port = Isolate.RawReceivePort(handler)
      end
      reply:send(port.send_port)
    end, opts)
  end

  for _, kind in ipairs { "listen", "a raw port" } do
    describe("by " .. kind, function()
      it("has no loop as long as there is nothing else to do", function()
        local isolate, port, to = listens(kind, function(message, reply, its)
          reply:send { message, has_loop() }
          if message == "last" then its:close() end
        end)
        for i = 1, 5 do
          to:send(i)
          assert.same({ i, false }, port:receive(GUARD))
        end
        isolate:ping(port.send_port, "pong", Isolate.immediate)
        assert.equal("pong", port:receive(GUARD))
        to:send "last"
        assert.same({ "last", false }, port:receive(GUARD))
        assert.is_true(ends(isolate))
      end)

      it("handles what follows each other in order, with the loop from the ninth on", function()
        local isolate, port, to = listens(kind, function(message, reply, its)
          reply:send { message, has_loop() }
          if message == 100 then its:close() end
        end)
        local pause = isolate:pause()
        isolate:ping(port.send_port, "paused", Isolate.immediate)
        assert.equal("paused", port:receive(GUARD))
        for i = 1, 100 do to:send(i) end
        assert.is_nil(port:receive(0.02))
        isolate:resume(pause)
        local with_loop = 0
        for i = 1, 100 do
          local it = port:receive(GUARD)
          assert.equal(i, it[1])
          if it[2] then with_loop = with_loop + 1 end
        end
        assert.is_true(with_loop > 80)
        assert.is_true(ends(isolate))
      end)

      it("goes on with others while a handler waits", function()
        local _, port, to = listens(kind, function(message, reply, its)
          if message == "wait" then
            local gate = Isolate.ReceivePort()
            reply:send(gate.send_port)
            message = gate:receive()
            gate:close()
          end
          reply:send(message)
          if message == "last" then its:close() end
        end)
        to:send "wait"
        local gate = port:receive(GUARD)
        to:send "meanwhile"
        assert.equal("meanwhile", port:receive(GUARD))
        gate:send "gone on"
        assert.equal("gone on", port:receive(GUARD))
        to:send "last"
        assert.equal("last", port:receive(GUARD))
      end)

      it("tells of an error, and goes on if that is not the end", function()
        local errors = alone.new_port()
        local isolate, port, to = listens(kind, function(message, reply, its)
          if message == "fail" then error "failed" end
          reply:send(message)
          if message == "last" then its:close() end
        end, { errors_are_fatal = false, on_error = errors.send_port })
        for _ = 1, 2 do
          to:send "fail"
          local told = errors:receive(GUARD)
          assert.matches("receive_spec.lua:%d+: failed$", told[1])
          assert.matches("receive_spec.lua:%d+: in function <", told[2])
          to:send "after it"
          assert.equal("after it", port:receive(GUARD))
        end
        to:send "last"
        assert.equal("last", port:receive(GUARD))
        assert.is_true(ends(isolate))
      end)

      it("ends by an error, and by a message that cannot be built", function()
        for _, what in ipairs { "fail", setmetatable({}, { __transfer = function()
          return function() error("no such thing here", 0) end
        end }) } do
          local errors = alone.new_port()
          local isolate, _, to = listens(kind, function() error("failed", 0) end,
            { on_error = errors.send_port })
          to:send(what)
          assert.matches(what == "fail" and "^failed" or "could not be received: no such thing here",
            errors:receive(GUARD)[1])
          assert.is_true(ends(isolate))
        end
      end)

      it("sets tasks and timers going in a handler", function()
        local isolate, port, to = listens(kind, function(message, reply, its)
          Isolate.Timer(0, function() reply:send "timer" end)
          Isolate.async(function() reply:send(message) end)
          its:close()
        end)
        to:send "task"
        assert.equal("task", port:receive(GUARD))
        assert.equal("timer", port:receive(GUARD))
        assert.is_true(ends(isolate))
      end)

      it("is killed, and ends itself", function()
        local isolate, _, to = listens(kind, function() end)
        to:send(1)
        isolate:kill(Isolate.immediate)
        assert.is_true(ends(isolate))
        local exiting, port, other = listens(kind, function(_, reply) Isolate.exit(reply, "exit") end)
        other:send(1)
        assert.equal("exit", port:receive(GUARD))
        assert.is_true(ends(exiting))
      end)
    end)
  end

  it("handles what came before nothing kept it alive", function()
    local port = alone.new_port()
    local isolate = Isolate.spawn(function(reply)
      local raw = Isolate.RawReceivePort(function(message) reply:send(message) end)
      for i = 1, 3 do raw.send_port:send(i) end
      raw.keep_alive = false
    end, port.send_port)
    assert.is_true(ends(isolate))
    for i = 1, 3 do assert.equal(i, port:receive(0)) end
    assert.is_nil((port:receive(0)))
  end)

  -- What nothing keeps alive ends, but not before what has come already is handled: the
  -- messages were lost, as no loop was there to look.
  it("handles what waits already at a port that keeps nothing alive", function()
    local isolate, port = start(function(reply)
      local raw = Isolate.RawReceivePort(function(message) reply:send(message) end)
      raw.keep_alive = false
      local last
      last = Isolate.RawReceivePort(function()
        for i = 1, 20 do raw.send_port:send(i) end
        last:close()
      end)
      raw.send_port:send "at first"
      last.send_port:send "last"
    end)
    -- `start` has received the first
    for i = 1, 20 do assert.equal(i, port:receive(GUARD)) end
    assert.is_true(ends(isolate))
    local ending, _, first = start(function(reply)
      local raw = Isolate.RawReceivePort(function(message) reply:send(message) end)
      raw.keep_alive = false
      raw.send_port:send "only"
    end)
    assert.equal("only", first)
    assert.is_true(ends(ending))
  end)

  it("has no loop for messages to a port that is closed", function()
    local isolate, port, to = start(function(reply)
      local closed = Isolate.ReceivePort()
      local raw
      raw = Isolate.RawReceivePort(function()
        reply:send(has_loop())
        raw:close()
      end)
      reply:send { closed.send_port, raw.send_port }
      closed:close()
    end)
    for i = 1, 3 do to[1]:send(i) end
    to[2]:send "last"
    assert.is_false(port:receive(GUARD))
    assert.is_true(ends(isolate))
  end)

  -- What is called to build a message may close its port, or set another handler: the one
  -- that was there before was called still; without a port, the error had none to name.
  for what, expected in pairs {
    close = "other", ["close, fail"] = "other", replace = "new built", ["nil"] = "other",
  } do
    it("asks for the handler when the message is built: " .. what, function()
      local isolate, port, to = start(function(reply)
        local raw = Isolate.RawReceivePort(function(message) reply:send("old " .. message) end)
        local other = Isolate.RawReceivePort(function(message)
          reply:send(message)
          raw:close()
          package.loaded.other:close()
        end)
        package.loaded.raw, package.loaded.other = raw, other
        package.loaded.new = { handler = function(message) reply:send("new " .. message) end }
        reply:send { raw.send_port, other.send_port }
      end)
      to[1]:send(setmetatable({ what }, { __transfer = function(self)
        local how = self[1]
        return function()
          local raw = package.loaded.raw
          if how:find "close" then raw:close() end
          if how == "replace" then raw.handler = package.loaded.new.handler end
          if how == "nil" then raw.handler = nil end
          if how:find "fail" then error "failed" end
          return "built"
        end
      end }))
      to[2]:send "other"
      assert.equal(expected, port:receive(GUARD))
      if expected ~= "other" then assert.equal("other", port:receive(GUARD)) end
      assert.is_true(ends(isolate))
    end)
  end

  -- It held what it had while the loop was loaded that tells of it: that was the end.
  it("goes on after a handler that had no memory, if errors are not the end", function()
    local errors = alone.new_port()
    local isolate, port, to = start(function(reply)
      local port = Isolate.ReceivePort()
      port:listen(function(message)
        local list = { message }
        while list[1] == "fail" do list[#list + 1] = "item " .. #list end
        reply:send(message)
        port:close()
      end)
      reply:send(port.send_port)
    end, { memory_limit = 1 << 20, errors_are_fatal = false, on_error = errors.send_port })
    to:send "fail"
    assert.equal("not enough memory", errors:receive(GUARD)[1])
    to:send "after it"
    assert.equal("after it", port:receive(GUARD))
    assert.is_true(ends(isolate))
  end)

  -- In a coroutine of the handler's, the loop was run there: it waited for the handler's own end.
  it("says in a handler that the loop is running already, in a coroutine too", function()
    local isolate, port, to = start(function(reply)
      local raw
      raw = Isolate.RawReceivePort(function(name)
        reply:send { pcall(Isolate[name]) }
        reply:send { pcall(coroutine.wrap(function() return pcall(Isolate[name]) end)) }
        if name == "loop" then raw:close() end
      end)
      reply:send(raw.send_port)
    end)
    for _, name in ipairs { "step", "loop" } do
      to:send(name)
      local told = "Isolate." .. name .. ": the loop is running already"
      assert.same({ false, told }, port:receive(GUARD))
      assert.same({ true, false, told }, port:receive(GUARD))
    end
    assert.is_true(ends(isolate))
  end)

  it("pauses, resumes and cancels", function()
    local _, port, to = start(function(reply)
      local inbox, control = Isolate.ReceivePort(), Isolate.ReceivePort()
      local to_inbox = inbox:listen(function(message) reply:send(message) end,
        { on_done = function() reply:send "done" end })
      control:listen(function(method)
        to_inbox[method](to_inbox)
        reply:send { method }
        if method == "cancel" then control:close() end
      end)
      reply:send { inbox.send_port, control.send_port }
    end)
    local inbox, control = to[1], to[2]
    inbox:send(1)
    assert.equal(1, port:receive(GUARD))
    control:send "pause"
    assert.same({ "pause" }, port:receive(GUARD))
    inbox:send(2)
    assert.is_nil(port:receive(0.02))
    control:send "resume"
    assert.equal(2, port:receive(GUARD))
    assert.same({ "resume" }, port:receive(GUARD))
    control:send "cancel"
    assert.same({ "cancel" }, port:receive(GUARD))
  end)

  it("is told that its own port is closed", function()
    local _, port, to = start(function(reply)
      local inbox = Isolate.ReceivePort()
      inbox:listen(function() inbox:close() end, { on_done = function() reply:send "done" end })
      reply:send(inbox.send_port)
    end)
    to:send(1)
    assert.equal("done", port:receive(GUARD))
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

-- Of many small messages the memory took longer than all else: numbers and the like that nobody has taken yet share one.
describe("numbers that wait", function()
  before_each(alone.begin)
  after_each(alone.check)

  local function queued()
    for _, it in ipairs(Isolate.list()) do
      if it.name == "main" then return it.queued end
    end
  end

  local function send_all(to, values)
    for i = 1, values.n do to:send(values[i]) end
  end

  -- The next `n` messages.
  local function take(port, n)
    local values = { n = n }
    for i = 1, n do values[i] = port:receive(GUARD) end
    return values
  end

  it("come one by one, in order, with what was sent between them", function()
    local port = alone.new_port()
    local sent = table.pack(1, 2, 3, 4, 5, 6, 7, 8, 9, 1.5, 2.5, nil, nil, true, false, 10, "text", 11, 12, { 13 }, 14,
      math.mininteger, math.maxinteger, -0.0, math.huge, nil, 15)
    send_all(port.send_port, sent)
    local got = take(port, sent.n)
    assert.same(sent, got)
    for i = 1, sent.n do assert.equal(math.type(sent[i]), math.type(got[i])) end
  end)

  it("go to their ports, wherever one changes to the other", function()
    local ports = { alone.new_port(), alone.new_port() }
    for i = 1, 60 do ports[i // 7 % 2 + 1].send_port:send(i) end
    local rest = { {}, {} }
    for i = 1, 60 do table.insert(rest[i // 7 % 2 + 1], i) end
    for i = 2, 1, -1 do
      for _, value in ipairs(rest[i]) do assert.equal(value, ports[i]:receive(GUARD)) end
    end
  end)

  it("are counted one by one", function()
    local port = alone.new_port()
    for i = 1, 10 do port.send_port:send(i) end
    assert.equal(10, queued())
    take(port, 3)
    assert.equal(7, queued())
    port:close()
    local last = alone.new_port()
    last.send_port:send "the last"
    assert.equal("the last", last:receive(GUARD))
    assert.equal(0, queued())
  end)

  it("go to handlers one by one: one that closes its port hears no more", function()
    local result = Isolate.run(function()
      local port, log = Isolate.ReceivePort(), {}
      for i = 1, 10 do port.send_port:send(i) end
      port:listen(function(i)
        log[#log + 1] = i
        if i == 6 then port:close() end
      end)
      Isolate.sleep(0)
      while not port.closed do Isolate.sleep(0.001) end
      return table.concat(log, " ")
    end)
    assert.equal("1 2 3 4 5 6", result:await(GUARD))
  end)

  it("of several isolates come each in its order", function()
    local port, n, each = alone.new_port(), 4, 500
    for k = 1, n do
      Isolate.spawn(function(to) for i = 1, each do to:send(k * 1000000 + i) end end, port.send_port)
    end
    local last = { 0, 0, 0, 0 }
    for _ = 1, n * each do
      local value = port:receive(GUARD)
      local k = value // 1000000
      assert.equal(last[k] + 1, value % 1000000)
      last[k] = value % 1000000
    end
    assert.same({ each, each, each, each }, last)
  end)

  it("may be the answers to pings", function()
    local port = alone.new_port()
    local isolate = Isolate.spawn(function() Isolate.ReceivePort():receive() end)
    for i = 1, 5 do isolate:ping(port.send_port, i) end
    port.send_port:send "one of ours"
    local got = take(port, 6)
    table.sort(got, function(a, b) return tostring(a) < tostring(b) end)
    assert.same({ n = 6, 1, 2, 3, 4, 5, "one of ours" }, got)
    isolate:kill(Isolate.immediate)
    isolate:join(GUARD)
  end)
end)
