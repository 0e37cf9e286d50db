-- loop_spec.lua
-- The loop: what keeps it, what it handles when, and where uncaught errors come out.

local Isolate = require "isolate"
local helper = require "spec.helper"

local async, Future = Isolate.async, Isolate.Future
local turns   = require "spec.support.turns"

local pump, new_log, failure = turns.pump, turns.new_log, turns.failure
local GUARD = 10                     -- seconds; only a fault ever waits this long
local opened = {}                    -- ports to close after the test
local running = {}                   -- timers to cancel after the test

local function new_port()
  local port = Isolate.ReceivePort()
  opened[#opened + 1] = port
  return port
end

local function new_timer(seconds, fn)
  local timer = Isolate.Timer(seconds, fn)
  running[#running + 1] = timer
  return timer
end

-- What runs in an isolate that works until it is told to stop: it sends its port to `out`,
-- answers each message there, fails at "bad", and ends at "stop".
local function echo(out)
  local inbox = Isolate.ReceivePort()
  inbox:listen(function(message)
    if message == "stop" then
      inbox:close()
    elseif message == "bad" then
      error("a bad message", 0)
    else
      out:send("echo " .. message)
    end
  end)
  out:send(inbox.send_port)
end

after_each(function()
  for _, timer in ipairs(running) do timer:cancel() end
  for _, port in ipairs(opened) do port:close() end
  running, opened = {}, {}
  pump()
end)

describe("loop", function()
  it("returns at once when nothing is alive, as often as it is called", function()
    Isolate.loop()
    Isolate.loop()
  end)

  it("runs all that waits before it returns", function()
    local log, add = new_log()
    local port = new_port()
    port:listen(function(message)
      add(message)
      port:close()
    end)
    port.send_port:send("message")
    Future.value("next"):next(add)
    new_timer(0, function() add "timer" end)
    Isolate.loop()
    table.sort(log)
    assert.same({"message", "next", "timer"}, log)
  end)

  describe("is kept", function()
    it("by an open port, until it is closed", function()
      local port = new_port()
      local log, add = new_log()
      port:listen(function(message)
        add(message)
        if message == 3 then port:close() end
      end)
      Isolate.spawn(function(out)
        for i = 1, 3 do
          Isolate.sleep(0.01)
          out:send(i)
        end
      end, port.send_port)
      Isolate.loop()
      assert.same({1, 2, 3}, log)
    end)

    it("by an open port that nobody listens to, until a timer closes it", function()
      local port = new_port()
      local log, add = new_log()
      new_timer(0.01, function()
        add "timer"
        port:close()
      end)
      Isolate.loop()
      assert.same({"timer"}, log)
    end)

    it("by an open port that is paused", function()
      local port = new_port()
      local log, add = new_log()
      local subscription = port:listen(function(message)
        add(message)
        port:close()
      end)
      subscription:pause()
      port.send_port:send("kept back")
      local raw = Isolate.RawReceivePort(function() subscription:resume() end)
      raw.keep_alive = false                       -- the paused port alone keeps the loop
      Isolate.spawn(function(out)
        Isolate.sleep(0.01)
        out:send("resume")
      end, raw.send_port)
      Isolate.loop()
      raw:close()
      assert.same({"kept back"}, log)
    end)

    it("by an active timer", function()
      local log, add = new_log()
      new_timer(0.02, function() add "timer" end)
      Isolate.loop()
      assert.same({"timer"}, log)
    end)

    it("by a task that sleeps", function()
      local log, add = new_log()
      async(function()
        Isolate.sleep(0.02)
        add "awake"
      end)
      Isolate.loop()
      assert.same({"awake"}, log)
    end)

    it("by a run", function()
      local log, add = new_log()
      Isolate.run(function()
        Isolate.sleep(0.02)
        return "answer"
      end):next(add)
      Isolate.loop()
      assert.same({"answer"}, log)
    end)

    it("by a compute", function()
      local log, add = new_log()
      Isolate.compute(function(message)
        Isolate.sleep(0.02)
        return message .. " answered"
      end, "question"):next(add)
      Isolate.loop()
      assert.same({"question answered"}, log)
    end)

    it("by a join", function()
      local log, add = new_log()
      local handle = Isolate.spawn(function() Isolate.sleep(0.02) end)
      async(function() add(handle:join()) end)
      Isolate.loop()
      assert.same({true}, log)
    end)

    it("by a wait that has a timeout", function()
      local log, add = new_log()
      local completer = Isolate.Completer()
      async(function() add(pcall(completer.future.await, completer.future, 0.02)) end)
      Isolate.loop()
      assert.same({false}, log)
    end)
  end)

  describe("is not kept", function()
    it("by a task that waits only for a Completer", function()
      local completer = Isolate.Completer()
      local task = async(function() return completer.future:await() end)
      Isolate.loop()
      assert.is_false(task:is_done())
      completer:complete("at last")
      assert.equal("at last", task:await())
    end)

    it("by a chain of tasks at whose end is a Completer", function()
      local completer = Isolate.Completer()
      local outer = async(function()
        return async(function() return completer.future:await() end):await()
      end)
      local follower = outer:next(function(value) return value end)
      Isolate.loop()
      assert.is_false(follower:is_done())
      completer:complete("x")
      assert.equal("x", follower:await())
    end)

    it("by a closed port, a cancelled timer, a raw port without keep_alive", function()
      new_port():close()
      new_timer(3600, function() end):cancel()
      local raw = Isolate.RawReceivePort(function() end)
      raw.keep_alive = false
      Isolate.loop()
      raw:close()
    end)

    it("by a spawned isolate that lives on", function()
      local port = new_port()
      local handle = Isolate.spawn(echo, port.send_port)
      local there = port:receive(GUARD)
      port:close()
      Isolate.loop()
      assert.same(table.pack(nil, "timeout"), table.pack(handle:join(0.01)))
      there:send("stop")
      assert.is_true(handle:join(GUARD))
    end)
  end)

  it("goes on where it was left by an error", function()
    local log, add = new_log()
    new_timer(0, function() error("first", 0) end)
    new_timer(0, function() add "second" end)
    assert.has_error(Isolate.loop)
    Isolate.loop()
    assert.same({"second"}, log)
  end)
end)

describe("A spawned isolate", function()
  it("ends when its function has returned and nothing can wake it", function()
    assert.is_true(Isolate.spawn(function() end):join(GUARD))
  end)

  it("ends when only a Completer could wake it", function()
    local handle = Isolate.spawn(function()
      Isolate.Completer().future:await()
    end)
    assert.is_true(handle:join(GUARD))
  end)

  it("lives as long as its port is open", function()
    local port = new_port()
    local handle = Isolate.spawn(echo, port.send_port)
    local there = port:receive(GUARD)
    assert.same(table.pack(nil, "timeout"), table.pack(handle:join(0.02)))
    there:send("hello")
    assert.equal("echo hello", port:receive(GUARD))
    there:send("stop")
    assert.is_true(handle:join(GUARD))
  end)

  it("lives as long as it has an active timer", function()
    local port = new_port()
    local handle = Isolate.spawn(function(out)
      local count = 0
      Isolate.Timer.periodic(0.001, function(timer)
        count = count + 1
        out:send(count)
        if count == 3 then timer:cancel() end
      end)
    end, port.send_port)
    assert.is_true(handle:join(GUARD))
    assert.same({1, 2, 3}, {port:receive(GUARD), port:receive(GUARD), port:receive(GUARD)})
  end)
end)

-- One task handles as many of them as it can: nobody may see that.
describe("Messages that wait together, for handlers,", function()
  local log, add, port

  before_each(function()
    log, add = new_log()
    port = new_port()
  end)

  local function send(...)
    for _, message in ipairs {...} do port.send_port:send(message) end
  end

  it("let what follows from one run before the next", function()
    local completer = Isolate.Completer()
    completer.future:next(function() add "next" end)
    port:listen(function(n)
      add(n)
      if n == 1 then completer:complete() end
      if n == 3 then port:close() end
    end)
    send(1, 2, 3)
    Isolate.loop()
    assert.are.same({1, "next", 2, 3}, log)
  end)

  it("go on while a handler waits, and where it goes on nothing is handled inside", function()
    local completer = Isolate.Completer.sync()
    port:listen(function(n)
      add(n)
      if n == 1 then
        completer.future:await()
        add "1 again"
      elseif n == 2 then
        completer:complete()
        add "2 again"
      elseif n == 4 then
        port:close()
      end
    end)
    send(1, 2, 3, 4)
    Isolate.loop()
    assert.are.same({1, 2, "1 again", "2 again", 3, 4}, log)
  end)

  it("stop at a pause, and follow its end in order", function()
    local to
    to = port:listen(function(n)
      add(n)
      if n == 2 then
        to:pause()
        new_timer(0, function()
          add "pause"
          to:resume()
        end)
      elseif n == 4 then
        port:close()
      end
    end)
    send(1, 2, 3, 4)
    Isolate.loop()
    assert.are.equal(1, log[1])
    assert.are.same({1, 2, "pause", 3, 4}, log)
  end)

  it("stop at the close of their port, and another's go on", function()
    local other = new_port()
    other:listen(function(n)
      add(n)
      if n == "end" then other:close() end
    end)
    port:listen(function(n)
      add(n)
      if n == 2 then port:close() end
    end)
    send(1)
    other.send_port:send "a"
    send(2, 3)
    other.send_port:send "end"
    Isolate.loop()
    assert.are.same({1, "a", 2, "end"}, log)
  end)

  it("let a timer fire that is due", function()
    new_timer(0.001, function() add "timer" end)
    port:listen(function(n)
      if n == 1 then
        while Isolate.timeout() > 0 do end
        add "late"
      else
        add(n)
        port:close()
      end
    end)
    send(1, 2)
    Isolate.loop()
    assert.are.same({"late", "timer", 2}, log)
  end)

  it("wait until an error is told", function()
    port:listen(function(n)
      if n == 2 then error("at 2", 0) end
      add(n)
      if n == 3 then port:close() end
    end)
    send(1, 2, 3)
    assert.are.equal("at 2", failure(Isolate.loop))
    assert.are.same({1}, log)
    Isolate.loop()
    assert.are.same({1, 3}, log)
  end)

  it("wait when someone has what it waited for", function()
    local inner = new_port()
    port:listen(function(n)
      add(n)
      if n == 1 then inner.send_port:send "for main" end
    end)
    send(1)
    async(send, 2, 3)
    assert.are.equal("for main", inner:receive())
    assert.are.same({1, 2, 3}, log)
    send(4)
    inner.send_port:send "once more"
    send(5)
    assert.are.equal("once more", inner:receive())
    assert.are.same({1, 2, 3, 4}, log)
    assert.is_true(Isolate.step())
    assert.are.same({1, 2, 3, 4, 5}, log)
  end)

  it("go on after a handler whose code waits where no task can be suspended", function()
    local inner = new_port()
    port:listen(function(n)
      add(n)
      if n == 1 then
        table.sort({2, 1}, function(a, b)
          if n == 1 then
            n = 0
            add(inner:receive())
          end
          return a < b
        end)
        inner:close()
      elseif n == 3 then
        port:close()
      end
    end)
    send(1, 2)
    inner.send_port:send "inner"
    send(3)
    Isolate.loop()
    assert.are.same({1, 2, "inner", 3}, log)
  end)

  it("go to the handler that is set in between, of a raw port", function()
    local raw
    port:close()
    raw = Isolate.RawReceivePort(function(n)
      add(n)
      raw.handler = function(m)
        add("new " .. m)
        raw.handler = nil
        Isolate.Timer(0, function() raw:close() end)
      end
    end)
    for n = 1, 3 do raw.send_port:send(n) end
    Isolate.loop()
    assert.are.same({1, "new 2"}, log)
  end)

  it("are overtaken by control messages", function()
    local out = new_port()
    local iso = Isolate.spawn(function(to)
      local mine = Isolate.ReceivePort()
      local gate = Isolate.ReceivePort()
      mine:listen(function(n)
        to:send(n)
        if n == 1 then gate:receive() end
        if n == 3 then mine:close() gate:close() end
      end)
      to:send(mine.send_port)
      to:send(gate.send_port)
    end, out.send_port)
    local there, gate = out:receive(GUARD), out:receive(GUARD)
    there:send(1)
    assert.are.equal(1, out:receive(GUARD))
    local pause = iso:pause()
    there:send(2)
    there:send(3)
    gate:send "go on"
    iso:ping(out.send_port, "paused")
    assert.are.equal("paused", out:receive(GUARD))
    assert.are.same({nil, "timeout"}, {out:receive(0)})
    iso:resume(pause)
    assert.are.equal(2, out:receive(GUARD))
    assert.are.equal(3, out:receive(GUARD))
    assert.is_true(iso:join(GUARD))
  end)
end)

describe("step", function()
  it("returns false when nothing waits", function()
    assert.is_false(Isolate.step())
    assert.is_false(Isolate.step(0))
    assert.is_false(Isolate.step(0.01))
  end)

  it("returns false when nothing waits in an open port, or a timer is not due", function()
    local port = new_port()
    port:listen(function() end)
    new_timer(3600, function() end)
    assert.is_false(Isolate.step())
    assert.is_false(Isolate.step(0.01))
  end)

  it("handles what was waiting when it was called, and returns true", function()
    local port = new_port()
    local log, add = new_log()
    port:listen(add)
    port.send_port:send(1)
    port.send_port:send(2)
    assert.is_true(Isolate.step())
    assert.same({1, 2}, log)
    assert.is_false(Isolate.step())
  end)

  it("leaves what comes while it works for the next step", function()
    local port = new_port()
    local log, add = new_log()
    port:listen(function(message)
      add(message)
      port.send_port:send(message + 10)
    end)
    port.send_port:send(1)
    port.send_port:send(2)
    assert.is_true(Isolate.step())
    assert.same({1, 2}, log)
    assert.is_true(Isolate.step())
    assert.same({1, 2, 11, 12}, log)
  end)

  it("fires timers that are due, once each", function()
    local log, add = new_log()
    new_timer(0, function()
      add "timer"
      new_timer(0, function() add "its child" end)
    end)
    assert.is_true(Isolate.step())
    assert.same({"timer"}, log)
    pump()
    assert.same({"timer", "its child"}, log)
  end)

  it("runs callbacks and tasks whose Future is done", function()
    local log, add = new_log()
    local completer = Isolate.Completer()
    completer.future:next(add)
    async(function() add("task " .. completer.future:await()) end)
    completer:complete("value")
    assert.is_true(Isolate.step())
    assert.same({"value", "task value"}, log)
  end)

  it("wakes for a message before its timeout is over", function()
    local port = new_port()
    local log, add = new_log()
    port:listen(add)
    local answer = Isolate.run(function(out)
      Isolate.sleep(0.01)
      out:send("woken")
      local gate <close> = Isolate.ReceivePort()           -- keeps the answer of run back
      out:send(gate.send_port)
      gate:receive()
    end, port.send_port)
    assert.is_true(Isolate.step(GUARD))
    assert.equal("woken", log[1])
    while #log < 2 do Isolate.step(GUARD) end
    log[2]:send("go")
    answer:await(GUARD)
  end)

  it("wakes for a timer before its timeout is over", function()
    local log, add = new_log()
    new_timer(0.01, function() add "timer" end)
    assert.is_true(Isolate.step(GUARD))
    assert.same({"timer"}, log)
  end)

  it("goes on waiting when an isolate ends meanwhile, which is nothing to handle", function()
    local log, add = new_log()
    for i = 1, 5 do
      Isolate.run(function() end):await(GUARD)             -- its end comes after its answer
      new_timer(0.05, function() add(i) end)
      assert.is_true(Isolate.step(GUARD))
      assert.equal(i, #log)
    end
  end)

  it("builds one slice of a large message, while timers and tasks go on", function()
    local big = new_port()
    local log, add = new_log()
    local list = {}
    for i = 1, 400000 do list[i] = {i, tostring(i)} end
    big:listen(function(message)
      add "the large message"
      list = message
    end)
    big.send_port:send(list)
    Isolate.step()
    assert.same({}, log)
    new_timer(0, function() add "timer" end)
    async(function()
      Isolate.sleep(0)
      add "task"
    end)
    local steps = 1
    while #log < 3 and steps < 100000 do
      Isolate.step(0.01)
      steps = steps + 1
    end
    assert.same({"timer", "task", "the large message"}, log)
    assert.equal(400000, #list)
    assert.same({400000, "400000"}, list[400000])
  end)
end)

describe("loop and step", function()
  local function both_raise()
    for _, name in ipairs {"loop", "step"} do
      local ok, err = pcall(Isolate[name])
      if ok then return name .. " did not raise" end
      if not tostring(err):find("the loop is running already", 1, true) then return tostring(err) end
    end
    return "both raise"
  end

  it("raise in a task: the loop is running already", function()
    assert.equal("both raise", async(both_raise):await())
    assert.equal("both raise", async(function()
      Isolate.sleep(0.001)
      return both_raise()
    end):await())
  end)

  it("raise in a handler, a timer's function and a callback", function()
    local log, add = new_log()
    local port = new_port()
    port:listen(function() add(both_raise()) end)
    port.send_port:send("message")
    pump()
    new_timer(0, function() add(both_raise()) end)
    pump()
    Future.value():next(function() add(both_raise()) end)
    pump()
    assert.same({"both raise", "both raise", "both raise"}, log)
  end)

  it("raise in the function of an isolate", function()
    assert.equal("both raise", Isolate.run(both_raise):await(GUARD))
  end)

  it("work again after a task tried them", function()
    async(both_raise):await()
    Isolate.loop()
    assert.is_false(Isolate.step())
  end)
end)

describe("nothing can complete this Future", function()
  local text = "nothing can complete this Future"

  local function assert_hopeless(fn)
    assert.matches(text, tostring(failure(fn)), 1, true)
  end

  it("is raised by the await of a Completer that nobody can complete", function()
    assert_hopeless(function() Isolate.Completer().future:await() end)
  end)

  it("is raised once the last timer has fired", function()
    local log, add = new_log()
    new_timer(0.01, function() add "timer" end)
    assert_hopeless(function() Isolate.Completer().future:await() end)
    assert.same({"timer"}, log)
  end)

  it("is raised once the last port is closed", function()
    local port = new_port()
    port:listen(function() port:close() end)
    port.send_port:send("the last")
    assert_hopeless(function() Isolate.Completer().future:await() end)
  end)

  it("is raised for a task, and what follows it, that waits for such a Completer", function()
    local completer = Isolate.Completer()
    local task = async(function() return completer.future:await() end)
    assert_hopeless(function() task:await() end)
    assert_hopeless(function() task:next(function() end):await() end)
    completer:complete("after all")
    assert.equal("after all", task:await())
  end)

  it("is raised in a coroutine of your own, in table.sort and in string.gsub", function()
    local future = Isolate.Completer().future
    local function wait() return future:await() end
    local ok, err = coroutine.resume(coroutine.create(wait))
    assert.is_false(ok)
    assert.matches(text, tostring(err), 1, true)
    assert_hopeless(function() table.sort({2, 1}, wait) end)
    assert_hopeless(function() return (("a"):gsub("a", wait)) end)
  end)

  it("is raised in a task where the task itself has to run the loop", function()
    local future = Isolate.Completer().future
    local task = async(function()
      table.sort({2, 1}, function() return future:await() end)
    end)
    assert_hopeless(function() task:await() end)
  end)

  it("is not raised where a timeout ends the wait", function()
    local err = failure(function() Isolate.Completer().future:await(0.01) end)
    assert.equal(Isolate.TimeoutError, getmetatable(err))
  end)

  it("is not raised while another isolate may still complete it", function()
    local port = new_port()
    local completer = Isolate.Completer()
    port:listen(function(message)
      port:close()
      completer:complete(message)
    end)
    Isolate.spawn(function(out)
      Isolate.sleep(0.02)
      out:send("from over there")
    end, port.send_port)
    assert.equal("from over there", completer.future:await())
  end)
end)

describe("For a host's loop:", function()
  describe("Isolate.timeout", function()
    it("is nil without timers", function()
      assert.is_nil(Isolate.timeout())
    end)

    it("is the time until the next timer, never less than nothing", function()
      local far = new_timer(3600, function() end)
      local seconds = Isolate.timeout()
      assert.is_true(seconds > 0 and seconds <= 3600)
      local near = new_timer(1800, function() end)
      assert.is_true(Isolate.timeout() <= 1800)
      near:cancel()
      assert.is_true(Isolate.timeout() > 1800)
      local due = new_timer(0, function() end)
      Isolate.sleep(0.001)
      assert.is_false(due:is_active())
      far:cancel()
      assert.is_nil(Isolate.timeout())
    end)

    it("is zero for a timer that is overdue", function()
      new_timer(0, function() end)
      local stop = os.clock() + 0.002
      while os.clock() < stop do end
      assert.equal(0, Isolate.timeout())
    end)

    it("is nil while only a message waits: that is what the descriptor tells", function()
      local port = new_port()
      port.send_port:send("waits")
      assert.is_nil(Isolate.timeout())
      assert.equal("waits", port:receive(GUARD))
    end)

    it("is zero while a callback or a slice waits, of which no descriptor tells", function()
      local log, add = new_log()
      Future.value("callback"):next(add)
      assert.equal(0, Isolate.timeout())
      pump()
      local port = new_port()
      local list = {}
      for i = 1, 200000 do list[i] = {i} end
      port.send_port:send(list)
      Isolate.step()
      assert.equal(0, Isolate.timeout())
      assert.equal(200000, #port:receive(GUARD))
      assert.same({"callback"}, log)
      assert.is_nil(Isolate.timeout())
    end)

    it("is not nil for a task that sleeps", function()
      local task = async(Isolate.sleep, 0.01)
      assert.is_number(Isolate.timeout())
      task:await()
      assert.is_nil(Isolate.timeout())
    end)
  end)

  describe("Isolate.fd", function()
    local found, socket = pcall(require, "socket")

    -- Is there something to read at fd?
    local function readable(fd, seconds)
      local object = {getfd = function() return fd end, dirty = function() return false end}
      return #socket.select({object}, nil, seconds or 0) == 1
    end

    it("is one descriptor, always the same", function()
      local fd = Isolate.fd()
      assert.equal("integer", math.type(fd))
      assert.is_true(fd > 2)
      assert.equal(fd, Isolate.fd())
    end)

    it("is readable while messages wait, and only then", function()
      if not found then return pending("needs LuaSocket to look at a descriptor") end
      local fd = Isolate.fd()
      local port = new_port()
      local log, add = new_log()
      port:listen(add)
      pump()
      assert.is_false(readable(fd))
      port.send_port:send(1)
      assert.is_true(readable(fd))
      assert.is_true(readable(fd))
      pump()
      assert.is_false(readable(fd))
      assert.same({1}, log)
    end)

    it("is readable when messages waited before it was asked for", function()
      if not found then return pending("needs LuaSocket to look at a descriptor") end
      local count = Isolate.run(function()
        local poll = require "socket"
        local inbox <close> = Isolate.ReceivePort()
        inbox.send_port:send("waits")
        local fd = Isolate.fd()
        local object = {getfd = function() return fd end, dirty = function() return false end}
        return #poll.select({object}, nil, 0)
      end):await(GUARD)
      assert.equal(1, count)
    end)

    it("is readable for a message that came while a step was at work", function()
      if not found then return pending("needs LuaSocket to look at a descriptor") end
      local fd = Isolate.fd()
      local port = new_port()
      local log, add = new_log()
      port:listen(function(message)
        add(message)
        if message < 3 then port.send_port:send(message + 1) end
      end)
      port.send_port:send(1)
      while #log < 3 do
        assert.is_true(readable(fd))
        Isolate.step()
      end
      assert.is_false(readable(fd))
      assert.same({1, 2, 3}, log)
    end)

    -- The look for a pause between two timers takes messages out of the mailbox, too.
    it("is readable for a message that a timer sent before another timer fired", function()
      if not found then return pending("needs LuaSocket to look at a descriptor") end
      local fd = Isolate.fd()
      local port = new_port()
      local log, add = new_log()
      port:listen(add)
      pump()
      Isolate.Timer(0, function() port.send_port:send("by a timer") end)
      Isolate.Timer(0, function() end)
      Isolate.step()
      assert.same({}, log)
      assert.is_true(readable(fd))
      pump()
      assert.same({"by a timer"}, log)
      assert.is_false(readable(fd))
    end)

    it("is readable while messages wait behind one that was received", function()
      if not found then return pending("needs LuaSocket to look at a descriptor") end
      local fd = Isolate.fd()
      local port = new_port()
      for i = 1, 3 do port.send_port:send(i) end
      for i = 1, 3 do
        assert.is_true(readable(fd))
        assert.equal(i, port:receive(GUARD))
      end
      assert.is_false(readable(fd))
    end)

    -- Who asks a port looks into the mailbox, and may not wait there.
    it("is readable for a message that a value which was rebuilt has looked for", function()
      if not found then return pending("needs LuaSocket to look at a descriptor") end
      local fd = Isolate.fd()
      local port, other = new_port(), new_port()
      local name = "spec.rebuilder"
      package.preload[name] = function()
        return { rebuild = function()
          port.send_port:send("sent meanwhile")
          return { pcall(port.receive, port, 0) }
        end }
      end
      finally(function() package.preload[name], package.loaded[name] = nil, nil end)
      local rebuild = require(name).rebuild
      other.send_port:send(setmetatable({}, { __transfer = function() return rebuild end }))
      assert.same({false, "a value that is being rebuilt may not wait"}, other:receive(GUARD))
      assert.is_true(readable(fd))
      assert.equal("sent meanwhile", port:receive(GUARD))
      assert.is_false(readable(fd))
    end)

    it("wakes a host when another isolate sends", function()
      if not found then return pending("needs LuaSocket to look at a descriptor") end
      local fd = Isolate.fd()
      local port = new_port()
      local log, add = new_log()
      port:listen(add)
      local handle = Isolate.spawn(function(out)
        for i = 1, 3 do
          Isolate.sleep(0.005)
          out:send(i)
        end
      end, port.send_port)
      for _ = 1, 1000 do
        if #log == 3 then break end
        assert.is_true(readable(fd, GUARD))
        Isolate.step()
      end
      assert.same({1, 2, 3}, log)
      handle:join(GUARD)
    end)
  end)
end)

describe("An uncaught error in the main isolate", function()
  it("of a handler is raised from the loop, the value itself", function()
    local port = new_port()
    local err = {}
    port:listen(function() error(err) end)
    port.send_port:send("message")
    assert.is_true(rawequal(err, failure(Isolate.loop)))
  end)

  it("of a raw port's handler is raised from the loop", function()
    local err = {}
    local raw
    raw = Isolate.RawReceivePort(function()
      raw:close()
      error(err)
    end)
    raw.send_port:send("message")
    assert.is_true(rawequal(err, failure(Isolate.loop)))
  end)

  it("of an on_done is raised from the loop", function()
    local port = new_port()
    local err = {}
    port:listen(function() end, {on_done = function() error(err) end})
    port:close()
    assert.is_true(rawequal(err, failure(Isolate.loop)))
  end)

  it("is raised from a step", function()
    local err = {}
    new_timer(0, function() error(err) end)
    assert.is_true(rawequal(err, failure(Isolate.step, GUARD)))
  end)

  it("is raised from an await that waits for something else, which goes on", function()
    local err = {}
    new_timer(0, function() error(err) end)
    local future = Future.delayed(0.05, function() return "value" end)
    assert.is_true(rawequal(err, failure(future.await, future)))
    assert.equal("value", future:await())
  end)

  it("is raised from every other wait: sleep, receive, join", function()
    local port = new_port()
    local err = {}
    local handle = Isolate.spawn(echo, port.send_port)
    local there = port:receive(GUARD)
    local waits = {
      function() Isolate.sleep(GUARD) end,
      function() port:receive(GUARD) end,
      function() handle:join(GUARD) end,
    }
    for _, wait in ipairs(waits) do
      new_timer(0, function() error(err) end)
      assert.is_true(rawequal(err, failure(wait)))
    end
    there:send("stop")
    assert.is_true(handle:join(GUARD))
  end)

  it("says where it happened", function()
    local line = debug.getinfo(1, "l").currentline + 1
    new_timer(0, function() error("here") end)
    assert.matches("loop_spec.lua:" .. line .. ": here", tostring(failure(Isolate.loop)), 1, true)
  end)

  it("of a handler is raised when it comes after a wait, too", function()
    local port = new_port()
    local err = {}
    port:listen(function()
      Isolate.sleep(0.001)
      port:close()
      error(err)
    end)
    port.send_port:send("message")
    assert.is_true(rawequal(err, failure(Isolate.loop)))
  end)

  it("leaves the port open and the next message for the next loop", function()
    local port = new_port()
    local log, add = new_log()
    port:listen(function(message)
      if message == "bad" then error("a bad message", 0) end
      add(message)
      port:close()
    end)
    port.send_port:send("bad")
    port.send_port:send("good")
    assert.matches("a bad message", tostring(failure(Isolate.loop)), 1, true)
    Isolate.loop()
    assert.same({"good"}, log)
  end)

  it("is raised from the outermost wait, not from one inside a task", function()
    local err = {}
    local log, add = new_log()
    new_timer(0, function()
      local ok = pcall(table.sort, {2, 1}, function(a, b)
        return Future.delayed(0.05, function() return a < b end):await()
      end)
      add("sorted: " .. tostring(ok))
    end)
    new_timer(0.001, function() error(err) end)
    local future = Future.delayed(0.3, function() return "value" end)
    assert.is_true(rawequal(err, failure(future.await, future)))
    assert.equal("value", future:await())
    assert.same({"sorted: true"}, log)
  end)

  it("of a task made by async is its Future's alone", function()
    local future = async(function()
      Isolate.sleep(0.001)
      error("mine", 0)
    end)
    local heard = future:catch(function(err) return "heard " .. err end)
    Isolate.loop()
    assert.equal("heard mine", heard:await())
  end)

  it("ends a program with Lua's own report and status", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      Isolate.Timer(0, function() error "no way out" end)
      Isolate.loop()
      print "never printed"
    ]]
    assert.equal(1, result.status)
    assert.equal("", result.stdout)
    assert.matches("no way out", result.stderr, 1, true)
  end)

  it("that is an unheard Future goes to stderr, and the program goes on", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      kept = Isolate.async(function() error "unheard of" end)
      Isolate.loop()
      print "went on"
    ]]
    assert.equal(0, result.status)
    assert.equal("went on\n", result.stdout)
    assert.matches("unheard of", result.stderr, 1, true)
  end)
end)

describe("An uncaught error in a spawned isolate", function()
  -- Spawns fn with one port for errors and exit; returns what came there, up to the exit.
  local function events_of(fn, opts)
    local box = new_port()
    opts = opts or {}
    opts.on_error, opts.on_exit = box.send_port, box.send_port
    local handle = Isolate.spawn(fn, nil, opts)
    local events = {}
    while true do
      local result = table.pack(box:receive(GUARD))
      assert.equal(1, result.n, "the isolate did not end")
      if result[1] == nil then break end
      events[#events + 1] = result[1]
    end
    assert.is_true(handle:join(GUARD))
    return events
  end

  local function assert_event(text, event)
    assert.is_table(event)
    assert.equal(2, #event)
    assert.is_string(event[1])
    assert.is_string(event[2])
    assert.matches(text, event[1], 1, true)
  end

  it("of its function goes to on_error as a message and a traceback; the exit comes last", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local events = events_of(function() error("in the function") end)
    assert.equal(1, #events)
    assert_event("loop_spec.lua:" .. line .. ": in the function", events[1])
    assert.matches("loop_spec.lua:" .. line, events[1][2], 1, true)
  end)

  it("is two strings, whatever was raised", function()
    local events = events_of(function()
      error(setmetatable({}, {__tostring = function() return "an error with a name" end}))
    end)
    assert_event("an error with a name", events[1])
    assert_event("", events_of(function() error({}) end)[1])
    assert_event("", events_of(function() error(nil) end)[1])
  end)

  it("of its function after a wait goes to on_error", function()
    local events = events_of(function()
      Isolate.sleep(0.001)
      error("after a wait", 0)
    end)
    assert.equal(1, #events)
    assert_event("after a wait", events[1])
  end)

  it("of a timer ends the isolate", function()
    local events = events_of(function()
      Isolate.ReceivePort()                         -- would keep the isolate
      Isolate.Timer(0, function() error("first", 0) end)
      Isolate.Timer(0, function() error("second", 0) end)
    end)
    assert.equal(1, #events)
    assert_event("first", events[1])
  end)

  it("of a timer stops no other timer when errors are not fatal", function()
    local events = events_of(function()
      Isolate.Timer(0, function() error("first", 0) end)
      Isolate.Timer(0, function() error("second", 0) end)
      Isolate.Timer(0, function() error("third", 0) end)
    end, {errors_are_fatal = false})
    assert.equal(3, #events)
    assert_event("first", events[1])
    assert_event("second", events[2])
    assert_event("third", events[3])
  end)

  it("of a handler ends the isolate, and the messages behind it are dropped", function()
    local out, errors = new_port(), new_port()
    local handle = Isolate.spawn(echo, out.send_port, {on_error = errors.send_port})
    local there = out:receive(GUARD)
    there:send("one")
    there:send("bad")
    there:send("two")
    assert_event("a bad message", errors:receive(GUARD))
    assert.is_true(handle:join(GUARD))
    assert.equal("echo one", out:receive(GUARD))
    assert.same(table.pack(nil, "timeout"), table.pack(out:receive(0)))
  end)

  it("of a handler leaves the isolate working when errors are not fatal", function()
    local out, errors = new_port(), new_port()
    local handle = Isolate.spawn(echo, out.send_port, {on_error = errors.send_port, errors_are_fatal = false})
    local there = out:receive(GUARD)
    for _, message in ipairs {"one", "bad", "two", "bad", "stop"} do there:send(message) end
    assert.equal("echo one", out:receive(GUARD))
    assert.equal("echo two", out:receive(GUARD))
    assert_event("a bad message", errors:receive(GUARD))
    assert_event("a bad message", errors:receive(GUARD))
    assert.is_true(handle:join(GUARD))
  end)

  it("that is an unheard Future goes to on_error, too", function()
    local events = events_of(function()
      Isolate.async(function() error("unheard", 0) end)
    end)
    assert.equal(1, #events)
    assert_event("unheard", events[1])
  end)

  it("is not what its own tasks caught", function()
    local events = events_of(function()
      pcall(error, "caught")
      Isolate.async(function() error("heard") end):catch(function() end)
      local future = Isolate.Future.error("awaited")
      pcall(future.await, future)
    end)
    assert.same({}, events)
  end)

  it("goes to stderr with name and traceback when nobody listens", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      local function fail() error "kaboom" end
      local handle = Isolate.spawn(function() fail() end, nil, {name = "bomber"})
      print(handle:join(10))
    ]]
    assert.equal(0, result.status)
    assert.equal("true\n", result.stdout)
    assert.matches("bomber", result.stderr, 1, true)
    assert.matches("kaboom", result.stderr, 1, true)
    assert.matches("traceback", result.stderr, 1, true)
  end)

  it("goes to stderr and the isolate works on when errors are not fatal", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      local handle = Isolate.spawn(function()
        Isolate.Timer(0, function() error "kaboom" end)
        Isolate.Timer(0.01, function() print "worked on" end)
      end, nil, {name = "bomber", errors_are_fatal = false})
      handle:join(10)
    ]]
    assert.equal(0, result.status)
    assert.equal("worked on\n", result.stdout)
    assert.matches("bomber.*kaboom", result.stderr)
  end)

  it("does not go to stderr when somebody listens", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      local port = Isolate.ReceivePort()
      Isolate.spawn(function() error("kaboom", 0) end, nil, {on_error = port.send_port})
      print(port:first():await(10)[1])
    ]]
    assert.equal(0, result.status)
    assert.equal("kaboom\n", result.stdout)
    assert.equal("", result.stderr)
  end)

  it("does not disturb its spawner", function()
    local port = new_port()
    local handle = Isolate.spawn(function() error("over there") end, nil, {on_error = port.send_port})
    assert.has_no.errors(function() handle:join(GUARD) end)
    assert_event("over there", port:receive(GUARD))
  end)
end)

describe("A main program that forgot its loop", function()
  local waiting = {
    ["a timer"] = "Isolate.Timer(0.01, function() end)",
    ["a periodic timer"] = "Isolate.Timer.periodic(0.01, function() end)",
    ["a listener"] = "Isolate.ReceivePort():listen(function() end)",
    ["a next callback"] = "kept = Isolate.Future.value(1):next(function() end)",
    ["a next callback of a run"] = "kept = Isolate.run(function() end):next(function() end)",
  }
  for what, code in pairs(waiting) do
    it("is told so in one line on stderr: " .. what, function()
      local result = helper.lua("local Isolate = require 'isolate'\n" .. code .. "\nprint 'the end'")
      assert.equal(0, result.status)
      assert.equal("the end\n", result.stdout)
      assert.matches("Isolate.loop()", result.stderr, 1, true)
      assert.matches("^[^\n]+\n$", result.stderr)
    end)
  end

  local quiet = {
    ["nothing waits"] = "Isolate.Future.value(1)",
    ["what waited is cancelled and closed"] = [[
      Isolate.Timer(1, function() end):cancel()
      local port = Isolate.ReceivePort()
      port:listen(function() end)
      port:close()
    ]],
    ["its loop ran to the end"] = [[
      Isolate.Timer(0.001, function() end)
      Isolate.Future.value(1):next(function() end)
      Isolate.loop()
    ]],
    ["a loop ran, and something waits since"] = [[
      Isolate.loop()
      Isolate.Timer(1, function() end)
    ]],
    ["only a task waits for a Completer"] = [[
      kept = Isolate.async(function() Isolate.Completer().future:await() end)
    ]],
    ["it waited for all it started"] = [[
      print(Isolate.run(function() return 1 end):await())
    ]],
  }
  for what, code in pairs(quiet) do
    it("is told nothing when " .. what, function()
      local result = helper.lua("local Isolate = require 'isolate'\n" .. code)
      assert.equal(0, result.status)
      assert.equal("", result.stderr)
    end)
  end
end)
