-- Futures, completers, timers, the loop, as far as dart:async has them. Ids are
-- those of Dart's behaviour (C1-C7, E2; 2.3; 2.5).

local Isolate = require "isolate"

local alone  = require "spec.support.alone"
local helper = require "spec.helper"
local turns  = require "spec.support.turns"

local pump, new_log, failure, keep = turns.pump, turns.new_log, turns.failure, alone.keep
local GUARD = 60
local Future = Isolate.Future

before_each(alone.begin)
after_each(alone.check)

describe("C1, 2.5: a Future", function()
  it("of a value has it, as many as you like", function()
    assert.same(table.pack(1, nil, 3), table.pack(Future.value(1, nil, 3):await()))
    assert.is_true(Future.value():is_done())
  end)

  it("of an error raises it, the value itself, at each await", function()
    local value = {}
    local future = Future.error(value)
    assert.equal(value, failure(future.await, future))
    assert.equal(value, failure(future.await, future))
  end)

  it("is awaited in a task, and no other event waits for that", function()
    local log, add = new_log()
    local gate = Isolate.Completer()
    Isolate.async(function()
      add "before"
      add(gate.future:await())
    end)
    local port = keep(Isolate.ReceivePort())
    port:listen(add)
    port.send_port:send "an event"
    pump()
    gate:complete "after"
    pump()
    assert.same({ "before", "an event", "after" }, log)
  end)

  it("that a Future completes is what that one is", function()
    local inner = Isolate.Completer()
    local outer = Isolate.Completer()
    outer:complete(inner.future)
    assert.is_false(outer.future:is_done())
    inner:complete("inner", 2)
    assert.same({ "inner", 2 }, { outer.future:await(GUARD) })
  end)

  it("that nothing can complete raises from await outside of a task", function()
    local future = Isolate.Completer().future
    assert.truthy(failure(future.await, future):find("nothing can complete this Future", 1, true))
  end)
end)

describe("C2, 2.5: next, catch, finally, timeout", function()
  it("next hands over the values, and is what the callback returns", function()
    assert.same({ 3, "more" }, { Future.value(1, 2):next(function(a, b) return a + b, "more" end):await() })
  end)

  it("next awaits a Future that the callback returns", function()
    assert.equal("later", Future.value():next(function()
      return Future.delayed(0.001, function() return "later" end)
    end):await(GUARD))
  end)

  it("next never calls back at once", function()
    local log, add = new_log()
    Future.value():next(function() add "callback" end)
    add "after next"
    pump()
    assert.same({ "after next", "callback" }, log)
  end)

  it("next without an error callback passes the error on", function()
    local future = Future.error("e"):next(error)
    assert.equal("e", failure(future.await, future))
  end)

  it("next with an error callback turns the error into values", function()
    assert.equal("e, mended", Future.error("e"):next(print, function(e) return e .. ", mended" end):await())
  end)

  it("an error of a callback fails the new Future", function()
    local future = Future.value():next(function() error("in it", 0) end)
    assert.equal("in it", failure(future.await, future))
  end)

  it("catch is called for errors only", function()
    assert.equal("value", Future.value("value"):catch(error):await())
    assert.equal("caught e", Future.error("e"):catch(function(e) return "caught " .. e end):await())
  end)

  it("finally is called in both cases, and changes nothing", function()
    local log, add = new_log()
    assert.same({ 1, 2 }, { Future.value(1, 2):finally(function(...) add(select("#", ...)) return 9 end):await() })
    local future = Future.error("e"):finally(function(...) add(select("#", ...)) end)
    assert.equal("e", failure(future.await, future))
    assert.same({ 0, 0 }, log)
  end)

  it("an error of finally comes instead; a Future that it returns is waited for", function()
    local future = Future.value(1):finally(function() error("instead", 0) end)
    assert.equal("instead", failure(future.await, future))
    local log, add = new_log()
    Future.value(1):finally(function()
      return Future.delayed(0.001, function() add "waited" end)
    end):next(function() add "then" end):await(GUARD)
    assert.same({ "waited", "then" }, log)
  end)

  it("timeout is a TimeoutError when it takes too long, and else what it is", function()
    local late = Isolate.Completer().future:timeout(0.001)
    local e = failure(late.await, late)
    assert.equal(Isolate.TimeoutError, getmetatable(e))
    assert.equal("TimeoutError: the Future was not done after 0.001 seconds", tostring(e))
    assert.equal("in time", Future.value("in time"):timeout(1000):await())
  end)
end)

describe("2.5: Future.all and any", function()
  it("all has all first values, in order", function()
    local slow = Future.delayed(0.002, function() return "slow", "unseen" end)
    assert.same({ n = 3, "slow", nil, "quick" },
      Future.all { slow, Future.value(nil), Future.value("quick") }:await(GUARD))
    assert.same({ n = 0 }, Future.all {}:await())
  end)

  it("all fails with the first error; the others do no harm", function()
    local one, two = Isolate.Completer(), Isolate.Completer()
    local all = Future.all { one.future, two.future }
    two:complete_error "first"
    one:complete_error "second"
    assert.equal("first", failure(all.await, all))
    pump()
  end)

  it("any is the first to finish, value or error", function()
    local slow = Future.delayed(1000)
    assert.same({ "quick", 2 }, { Future.any { slow, Future.value("quick", 2) }:await(GUARD) })
    slow:cancel()
    local any = Future.any { Isolate.Completer().future, Future.error "quick error" }
    assert.equal("quick error", failure(any.await, any))
  end)
end)

describe("C3, C4, 2.5: a Completer", function()
  it("completes its Future by hand, once", function()
    local completer = Isolate.Completer()
    assert.is_false(completer:is_completed())
    completer:complete(1, 2)
    assert.is_true(completer:is_completed())
    assert.same({ 1, 2 }, { completer.future:await() })
    assert.truthy(failure(completer.complete, completer):find("this Completer is already completed", 1, true))
    assert.truthy(failure(completer.complete_error, completer, "e"):find(
      "this Completer is already completed", 1, true))
  end)

  it("fails its Future by hand", function()
    local completer = Isolate.Completer()
    completer:complete_error { code = 1 }
    assert.same({ code = 1 }, failure(completer.future.await, completer.future))
  end)

  it("lets who waits go on after complete; a sync one, inside of it", function()
    local log, add = new_log()
    for name, completer in pairs { plain = Isolate.Completer(), sync = Isolate.Completer.sync() } do
      Isolate.async(function()
        completer.future:await()
        add(name .. " goes on")
      end)
      completer:complete()
      add(name .. " completed")
      pump()
    end
    local at = {}
    for i, entry in ipairs(log) do at[entry] = i end
    assert.is_true(at["plain completed"] < at["plain goes on"])
    assert.is_true(at["sync goes on"] < at["sync completed"])
  end)

  it("gates work until an isolate is ready (D5)", function()
    local log, add = new_log()
    local ready = Isolate.Completer()
    local port = keep(Isolate.ReceivePort())
    port:listen(function(v)
      if v == "ready" then ready:complete() else add(v) port:close() end
    end)
    Isolate.spawn(function(to)
      to:send "ready"
      to:send "work done"
    end, port.send_port)
    Isolate.async(function()
      ready.future:await()
      add "set up, begin"
    end)
    while not log[2] do Isolate.step(GUARD) end
    assert.same({ "set up, begin", "work done" }, log)
  end)
end)

describe("C5, 2.5: Future.delayed", function()
  it("calls its function later, in any isolate, and keeps it alive until then", function()
    local port = keep(Isolate.ReceivePort())
    local iso = Isolate.spawn(function(to)
      Isolate.Future.delayed(0.005, function() to:send "hello world" end)
    end, port.send_port)
    assert.equal("hello world", port:receive(GUARD))
    assert.is_true(iso:join(GUARD))
  end)

  it("has no value without a function; is taken back by cancel", function()
    assert.same(table.pack(), table.pack(Future.delayed(0):await(GUARD)))
    local never = Future.delayed(0, function() error "called" end)
    never:cancel()
    pump()
    assert.equal("CancelledError", failure(never.await, never).name)
  end)
end)

describe("C6, 2.5: Timer", function()
  it("calls its function once, with itself", function()
    local log, add = new_log()
    local timer = Isolate.Timer(0, add)
    assert.is_true(timer:is_active())
    Isolate.loop()
    assert.same({ timer }, log)
    assert.is_false(timer:is_active())
  end)

  it("periodic calls until it is cancelled, in main and in workers", function()
    local port = keep(Isolate.ReceivePort())
    local iso = Isolate.spawn(function(to)
      local n = 0
      Isolate.Timer.periodic(0.001, function(timer)
        n = n + 1
        to:send(n)
        if n == 5 then timer:cancel() end
      end)
    end, port.send_port)
    for i = 1, 5 do assert.equal(i, port:receive(GUARD)) end
    assert.is_true(iso:join(GUARD))
  end)

  it("cancel keeps it from firing, twice is fine", function()
    local timer = Isolate.Timer(0, function() error "fired" end)
    timer:cancel()
    timer:cancel()
    assert.is_false(timer:is_active())
    pump()
  end)

  it("tick counts the periods that have passed", function()
    local timer
    timer = Isolate.Timer.periodic(0.001, function(t) if t.tick >= 3 then t:cancel() end end)
    Isolate.loop()
    assert.is_true(timer.tick >= 3)
  end)

  it("an error in one does not stop others that are due", function()
    local log, add = new_log()
    Isolate.Timer(0, function() error("one", 0) end)
    Isolate.Timer(0, add)
    assert.equal("one", failure(Isolate.loop))
    Isolate.loop()
    assert.equal(1, #log)
  end)
end)

describe("C7: several requests in flight", function()
  it("get each their own answer, in any order", function()
    local port = keep(Isolate.ReceivePort())
    Isolate.spawn(function(to)
      local inbox = Isolate.ReceivePort()
      to:send(inbox.send_port)
      local held = {}
      inbox:listen(function(request)
        held[#held + 1] = request
        if #held < 3 then return end
        for i = 3, 1, -1 do to:send { held[i][1], "answer to " .. held[i][2] } end
        inbox:close()
      end)
    end, port.send_port)
    local there, waiting = port:receive(GUARD), {}
    port:listen(function(answer) waiting[answer[1]]:complete(answer[2]) end)
    local answers = {}
    for id, text in ipairs { "a", "b", "c" } do
      waiting[id] = Isolate.Completer()
      there:send { id, text }
      answers[id] = waiting[id].future
    end
    assert.same({ n = 3, "answer to a", "answer to b", "answer to c" }, Future.all(answers):await(GUARD))
  end)
end)

describe("2.5: an error that nobody hears", function()
  it("of a Future goes to stderr at the end of a main program", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      Isolate.async(function() error("nobody asked", 0) end)
      Isolate.loop()
      print "loop ended"
    ]]
    assert.equal(0, result.status)
    assert.equal("loop ended\n", result.stdout)
    assert.truthy(result.stderr:find("isolate: a Future failed and nobody asked for it: nobody asked", 1, true))
  end)

  it("of a Future that is awaited late is no such error", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      local a = Isolate.run(function() return 1 end)
      local b = Isolate.run(function() error("of b", 0) end)
      Isolate.sleep(0.02)
      print(a:await(), pcall(b.await, b))
    ]]
    assert.equal(0, result.status)
    assert.equal("", result.stderr)
    assert.truthy(result.stdout:find("of b", 1, true))
  end)

  it("of a handler is raised from the loop of a main program, and ends it", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      Isolate.Timer(0, function() error "in the timer" end)
      Isolate.loop()
    ]]
    assert.equal(1, result.status)
    assert.truthy(result.stderr:find("script.lua:2: in the timer", 1, true))
  end)

  it("of a spawned isolate's Future ends it, like any uncaught error", function()
    local port = keep(Isolate.ReceivePort())
    Isolate.spawn(function(to)
      Isolate.async(error, "unheard", 0)
      to:send "spawned function ends"
    end, port.send_port, { on_error = port.send_port, on_exit = port.send_port })
    assert.equal("spawned function ends", port:receive(GUARD))
    assert.equal("unheard", port:receive(GUARD)[1])
    assert.is_nil((port:receive(GUARD)))
  end)
end)

describe("E2: the loop", function()
  it("step handles what was waiting when it was called, and says whether it did", function()
    local port, log, add = keep(Isolate.ReceivePort()), new_log()
    port:listen(function(v)
      add(v)
      if v < 3 then port.send_port:send(v + 1) end
    end)
    assert.is_false(Isolate.step())
    port.send_port:send(1)
    assert.is_true(Isolate.step())
    assert.same({ 1 }, log)
    pump()
    assert.same({ 1, 2, 3 }, log)
  end)

  it("step waits no longer than its timeout", function()
    assert.is_false(Isolate.step(0.001))
  end)

  it("loop runs until nothing is left alive", function()
    local log, add = new_log()
    Isolate.Timer(0.002, function() add "last" end)
    Isolate.Timer(0, function() add "first" end)
    Isolate.loop()
    assert.same({ "first", "last" }, log)
  end)

  it("cannot be run in a task", function()
    for _, name in ipairs { "loop", "step" } do
      local task = Isolate.async(Isolate[name])
      assert.truthy(failure(task.await, task):find(
        "Isolate." .. name .. ": the loop is running already", 1, true))
    end
  end)

  it("has for a host a descriptor, and the time until it has something to do", function()
    assert.equal("integer", math.type(Isolate.fd()))
    assert.is_nil(Isolate.timeout())
    local timer = Isolate.Timer(1000, print)
    local left = Isolate.timeout()
    assert.is_true(left > 900 and left <= 1000)
    timer:cancel()
    assert.is_nil(Isolate.timeout())
  end)

  it("E3: goes on while others compute, and while their large answer arrives", function()
    local ticks, seen = 0, 0
    local future = Isolate.run(function()
      local list = {}
      for i = 1, 100000 do list[i] = { id = i, name = "photo " .. i } end
      return list
    end)
    local timer = Isolate.Timer.periodic(0.001, function() ticks = ticks + 1 end)
    future:next(function() seen = ticks end)
    assert.equal(100000, #future:await(GUARD))
    timer:cancel()
    pump()
    assert.is_true(seen > 1)
  end)
end)
