-- timer_spec.lua
-- Timers and sleep: what comes when, and in which order. No spec here looks at a clock:
-- where one deadline has to come before another, they are far enough apart.

local Isolate = require "isolate"

local Timer, async = Isolate.Timer, Isolate.async
local turns   = require "spec.support.turns"

local pump, new_log = turns.pump, turns.new_log
local GUARD = 10                     -- seconds; only a fault ever waits this long
local running = {}                   -- timers to cancel after the test
local opened = {}                    -- ports to close after the test

local function keep(timer)
  running[#running + 1] = timer
  return timer
end

local function new_port()
  local port = Isolate.ReceivePort()
  opened[#opened + 1] = port
  return port
end

after_each(function()
  for _, timer in ipairs(running) do timer:cancel() end
  for _, port in ipairs(opened) do port:close() end
  running, opened = {}, {}
  pump()
end)

describe("Timer", function()
  it("calls its function once", function()
    local log, add = new_log()
    keep(Timer(0.001, function() add "called" end))
    Isolate.loop()
    assert.same({"called"}, log)
  end)

  it("calls its function with the timer and nothing else", function()
    local got
    local timer = keep(Timer(0, function(...) got = table.pack(...) end))
    Isolate.loop()
    assert.equal(1, got.n)
    assert.is_true(rawequal(timer, got[1]))
  end)

  it("never calls its function before it has returned, with no seconds to wait either", function()
    local log, add = new_log()
    keep(Timer(0, function() add "called" end))
    add "returned"
    Isolate.loop()
    assert.same({"returned", "called"}, log)
  end)

  it("is active until it has fired, and has a tick of 1 then", function()
    local timer = keep(Timer(0, function() end))
    assert.is_true(timer:is_active())
    assert.equal(0, timer.tick)
    Isolate.loop()
    assert.is_false(timer:is_active())
    assert.equal(1, timer.tick)
  end)

  it("has a tick of 1 in its function", function()
    local tick
    keep(Timer(0, function(timer) tick = timer.tick end))
    Isolate.loop()
    assert.equal(1, tick)
  end)

  it("keeps the loop until it has fired, and no longer", function()
    local log, add = new_log()
    keep(Timer(0.02, function() add "fired" end))
    Isolate.loop()
    assert.same({"fired"}, log)
    Isolate.loop()
  end)

  it("fires when nobody holds it", function()
    local log, add = new_log()
    do Timer(0.005, function() add "fired" end) end
    collectgarbage()
    collectgarbage()
    Isolate.loop()
    assert.same({"fired"}, log)
  end)

  it("may start others, which fire after it", function()
    local log, add = new_log()
    keep(Timer(0, function()
      keep(Timer(0, function() add "inner" end))
      add "outer"
    end))
    Isolate.loop()
    assert.same({"outer", "inner"}, log)
  end)

  it("takes fractions and whole numbers of seconds", function()
    local log, add = new_log()
    keep(Timer(1e-6, function() add "tiny" end))
    keep(Timer(3600, function() add "never" end))
    keep(Timer(1e9, function() add "never" end))
    Isolate.sleep(0.01)
    assert.same({"tiny"}, log)
  end)

  it("calls its function as a task", function()
    local log, add = new_log()
    keep(Timer(0, function()
      add "waits"
      Isolate.sleep(0.01)
      add "goes on"
    end))
    keep(Timer(0, function() add "another" end))
    Isolate.loop()
    assert.same({"waits", "another", "goes on"}, log)
  end)

  describe("cancel", function()
    it("keeps it from firing, and from keeping the loop", function()
      local log, add = new_log()
      local timer = keep(Timer(3600, function() add "fired" end))
      timer:cancel()
      assert.is_false(timer:is_active())
      Isolate.loop()
      assert.same({}, log)
      assert.equal(0, timer.tick)
    end)

    it("may be called twice, and after it has fired", function()
      local log, add = new_log()
      local timer = keep(Timer(0, function() add "fired" end))
      Isolate.loop()
      timer:cancel()
      timer:cancel()
      assert.is_false(timer:is_active())
      Isolate.loop()
      assert.same({"fired"}, log)
    end)

    it("reaches a timer that is due in the same moment", function()
      local log, add = new_log()
      local second
      keep(Timer(0, function()
        add "first"
        second:cancel()
      end))
      second = keep(Timer(0, function() add "second" end))
      keep(Timer(0, function() add "third" end))
      Isolate.loop()
      assert.same({"first", "third"}, log)
    end)

    it("takes one of many out and leaves the others in order", function()
      local log, add = new_log()
      local timers = {}
      for i = 1, 100 do timers[i] = keep(Timer(0.01, function() add(i) end)) end
      local expected = {}
      for i = 1, 100 do
        if i % 3 == 0 then timers[i]:cancel() else expected[#expected + 1] = i end
      end
      Isolate.loop()
      assert.same(expected, log)
    end)
  end)

  describe("order", function()
    it("is that of the deadlines", function()
      local log, add = new_log()
      keep(Timer(0.3, function() add "third" end))
      keep(Timer(0.001, function() add "first" end))
      keep(Timer(0.15, function() add "second" end))
      Isolate.loop()
      assert.same({"first", "second", "third"}, log)
    end)

    it("is that of their making among equal deadlines", function()
      local log, add = new_log()
      local expected = {}
      for i = 1, 200 do
        keep(Timer(0.005, function() add(i) end))
        expected[i] = i
      end
      Isolate.loop()
      assert.same(expected, log)
    end)

    it("is that of their making among timers of no seconds", function()
      local log, add = new_log()
      for i = 1, 5 do keep(Timer(0, function() add(i) end)) end
      Isolate.loop()
      assert.same({1, 2, 3, 4, 5}, log)
    end)

    it("holds for many timers made in any order", function()
      local log, add = new_log()
      local expected = {}
      for i = 1, 40 do
        for group = 1, 4 do
          local late = (group * 3) % 4 + 1                 -- a permutation of 1 … 4
          keep(Timer(late * 0.1, function() add(late * 1000 + i) end))
          expected[(late - 1) * 40 + i] = late * 1000 + i
        end
      end
      Isolate.loop()
      assert.same(expected, log)
    end)

    it("lets timers that were due long ago fire in the order of their deadlines", function()
      local log, add = new_log()
      keep(Timer(0.02, function() add "later" end))
      keep(Timer(0.001, function() add "sooner" end))
      local stop = os.clock() + 0.05                      -- a handler that is busy for a while
      while os.clock() < stop do end
      Isolate.loop()
      assert.same({"sooner", "later"}, log)
    end)
  end)
end)

describe("Timer.periodic", function()
  it("calls its function again and again until it is cancelled", function()
    local log, add = new_log()
    keep(Timer.periodic(0.001, function(timer)
      add "tick"
      if #log == 4 then timer:cancel() end
    end))
    Isolate.loop()
    assert.same({"tick", "tick", "tick", "tick"}, log)
  end)

  it("calls its function with the timer and nothing else", function()
    local got
    local timer
    timer = keep(Timer.periodic(0.001, function(...)
      got = table.pack(...)
      timer:cancel()
    end))
    Isolate.loop()
    assert.equal(1, got.n)
    assert.is_true(rawequal(timer, got[1]))
  end)

  it("is active until it is cancelled", function()
    local active
    local timer = keep(Timer.periodic(0.001, function(self)
      active = self:is_active()
      self:cancel()
    end))
    assert.is_true(timer:is_active())
    Isolate.loop()
    assert.is_true(active)
    assert.is_false(timer:is_active())
  end)

  it("shows each call a larger tick than the one before", function()
    local ticks = {}
    local timer = keep(Timer.periodic(0.001, function(self)
      ticks[#ticks + 1] = self.tick
      if #ticks == 5 then self:cancel() end
    end))
    assert.equal(0, timer.tick)
    Isolate.loop()
    assert.equal(5, #ticks)
    assert.is_true(ticks[1] >= 1)
    for i = 2, 5 do assert.is_true(ticks[i] > ticks[i - 1]) end
  end)

  it("can be cancelled from outside before it ever fired", function()
    local log, add = new_log()
    keep(Timer.periodic(3600, add)):cancel()
    Isolate.loop()
    assert.same({}, log)
  end)

  it("goes on while an earlier call of its function still waits", function()
    local log, add = new_log()
    local gate = Isolate.Completer()
    local calls = 0
    keep(Timer.periodic(0.001, function(timer)
      calls = calls + 1
      if calls == 1 then
        add(gate.future:await())
      else
        add "second call"
        timer:cancel()
        gate:complete "first call ends"
      end
    end))
    Isolate.loop()
    assert.same({"second call", "first call ends"}, log)
  end)

  it("ticks while the main chunk awaits an isolate", function()
    local log, add = new_log()
    local gate = new_port()
    keep(Timer.periodic(0.001, function(timer)
      add "tick"
      if #log == 3 then
        timer:cancel()
        gate:receive(GUARD):send("enough ticks")
      end
    end))
    local answer = Isolate.run(function(out)
      local inbox <close> = Isolate.ReceivePort()
      out:send(inbox.send_port)
      return inbox:receive()
    end, gate.send_port)
    assert.equal("enough ticks", answer:await(GUARD))
    assert.same({"tick", "tick", "tick"}, log)
  end)
end)

describe("An error in a timer's function", function()
  it("is raised from the loop, the value itself", function()
    local err = {}
    keep(Timer(0, function() error(err) end))
    local ok, got = pcall(Isolate.loop)
    assert.is_false(ok)
    assert.is_true(rawequal(err, got))
    Isolate.loop()
  end)

  it("leaves the timer inactive", function()
    local timer = keep(Timer(0, function() error("x") end))
    assert.is_false((pcall(Isolate.loop)))
    assert.is_false(timer:is_active())
    assert.equal(1, timer.tick)
  end)

  it("does not stop other timers that were due in the same moment", function()
    local log, add = new_log()
    keep(Timer(0, function() add "first" end))
    keep(Timer(0, function() error("second", 0) end))
    keep(Timer(0, function() add "third" end))
    keep(Timer(0, function() error("fourth", 0) end))
    keep(Timer(0, function() add "fifth" end))
    local errors = {}
    repeat
      local ok, err = pcall(Isolate.loop)
      if not ok then errors[#errors + 1] = err end
    until ok or #errors > 5
    assert.equal(2, #errors)
    assert.matches("second", errors[1], 1, true)
    assert.matches("fourth", errors[2], 1, true)
    assert.same({"first", "third", "fifth"}, log)
  end)

  it("leaves a periodic timer going", function()
    local calls = 0
    local timer = keep(Timer.periodic(0.001, function(self)
      calls = calls + 1
      if calls == 3 then self:cancel() end
      error("call " .. calls, 0)
    end))
    for i = 1, 3 do
      local ok, err = pcall(Isolate.loop)
      assert.is_false(ok)
      assert.matches("call " .. i, err, 1, true)
    end
    assert.is_false(timer:is_active())
    Isolate.loop()
    assert.equal(3, calls)
  end)

  it("is raised from the loop when it comes after a wait, too", function()
    keep(Timer(0, function()
      Isolate.sleep(0.001)
      error("after a wait", 0)
    end))
    local ok, err = pcall(Isolate.loop)
    assert.is_false(ok)
    assert.matches("after a wait", err, 1, true)
  end)
end)

describe("sleep", function()
  it("lets others go on while the main chunk sleeps", function()
    local log, add = new_log()
    keep(Timer(0.001, function() add "timer" end))
    async(function()
      Isolate.sleep(0.002)
      add "task"
    end)
    Isolate.sleep(0.2)
    add "main"
    assert.same({"timer", "task", "main"}, log)
  end)

  it("lets only its own task wait", function()
    local log, add = new_log()
    local slow = async(function()
      add "slow begins"
      Isolate.sleep(0.2)
      add "slow ends"
    end)
    local quick = async(function()
      add "quick begins"
      Isolate.sleep(0.001)
      add "quick ends"
    end)
    add "main goes on"
    slow:await()
    quick:await()
    assert.same({"slow begins", "quick begins", "main goes on", "quick ends", "slow ends"}, log)
  end)

  it("lets tasks that sleep equally long go on in the order in which they lay down", function()
    local log, add = new_log()
    for i = 1, 5 do
      async(function()
        Isolate.sleep(0.005)
        add(i)
      end)
    end
    Isolate.loop()
    assert.same({1, 2, 3, 4, 5}, log)
  end)

  it("lets others go on even for no seconds", function()
    local log, add = new_log()
    local port = new_port()
    port:listen(add)
    local task = async(function()
      port.send_port:send("message")
      for _ = 1, 10 do Isolate.sleep(0) end
      add "task"
    end)
    task:await(GUARD)
    assert.same({"message", "task"}, log)
  end)

  it("keeps the loop", function()
    local log, add = new_log()
    async(function()
      Isolate.sleep(0.02)
      add "awake"
    end)
    Isolate.loop()
    assert.same({"awake"}, log)
  end)

  it("runs the loop inside a coroutine of your own", function()
    local co = coroutine.create(function()
      Isolate.sleep(0.001)
      return "awake"
    end)
    assert.same({true, "awake"}, {coroutine.resume(co)})
  end)

  it("works in a spawned isolate", function()
    local answer = Isolate.run(function()
      local log = {}
      local other = Isolate.async(function()
        Isolate.sleep(0.001)
        log[#log + 1] = "other"
      end)
      Isolate.sleep(0.2)
      log[#log + 1] = "self"
      other:await()
      return log
    end)
    assert.same({"other", "self"}, answer:await(GUARD))
  end)
end)

describe("Timers and messages", function()
  it("come in turns: a timer that starts itself again holds up no message", function()
    local port = new_port()
    local stopped = false
    local rounds = 0
    local function again()
      rounds = rounds + 1
      if not stopped and rounds < 100000 then keep(Timer(0, again)) end
    end
    port:listen(function() stopped = true end)
    again()
    port.send_port:send("stop")
    for _ = 1, 1000 do
      if stopped then break end
      Isolate.step()
    end
    assert.is_true(stopped)
  end)

  it("come in turns: a message that sends itself again holds up no timer", function()
    local port = new_port()
    local log, add = new_log()
    local count = 0
    port:listen(function()
      count = count + 1
      if count < 1000000 then port.send_port:send("again") end
    end)
    port.send_port:send("begin")
    keep(Timer(0.001, function()
      add "timer"
      port:close()
    end))
    Isolate.loop()
    assert.same({"timer"}, log)
  end)
end)
